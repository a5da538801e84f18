// What this browser reports to the server: that a push came, was shown and was opened. It is a
// classic script, as remember.js is.
self.receipts = (() => {
	const path = "/api/v1/receipts/";
	const timeout = 10_000; // of one report, in ms

	// post sends a report, and returns the status of the answer, or 0 if there was none.
	async function post({ receipt, times }) {
		try {
			const { status } = await fetch(receipt, { method: "POST", credentials: "omit", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ...times, now: new Date() }), signal: AbortSignal.timeout(timeout) });
			return status;
		} catch {
			return 0;
		}
	}

	// sendKept sends the reports that are kept, until the server takes none for now. One that it
	// fails on stays.
	async function sendKept() {
		for (const one of await remember.reports()) {
			const status = await post(one);
			if (status === 0 || status === 429) {
				return;
			}
			if (status < 500) {
				await remember.forgetReport(one);
			}
		}
	}

	// send is sendKept, once at a time: many pushes may come at once, and each asks for it.
	let last = Promise.resolve();
	function send() {
		last = last.catch(() => {}).then(sendKept);
		return last;
	}

	return {
		send,
		// report sends the times of what became of a push, once those that are kept were sent, or
		// keeps them. receipt is undefined if the server is older than receipts are.
		report: async (receipt, times) => {
			if (typeof receipt === "string" && receipt.startsWith(path)) {
				await remember.addReport({ receipt, times }).catch(() => post({ receipt, times }));
			}
			await send();
		},
	};
})();
