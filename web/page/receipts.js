// What this browser reports to the server: that a push came, was shown and was opened. It is a
// classic script, as remember.js is.
self.receipts = (() => {
	const path = "/api/v1/receipts/";
	const timeout = 10_000; // of one report, in ms

	// post sends a report, and returns whether it need not be sent again.
	async function post({ receipt, times }) {
		try {
			const { status } = await fetch(receipt, { method: "POST", credentials: "omit", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ...times, now: new Date() }), signal: AbortSignal.timeout(timeout) });
			return status < 500 && status !== 429;
		} catch {
			return false;
		}
	}

	// send sends the reports that are kept, up to the first that must wait.
	async function send() {
		for (const one of await remember.reports()) {
			if (!await post(one)) {
				return;
			}
			await remember.forgetReport(one);
		}
	}

	return {
		send,
		// report sends the times of what became of a push, once those that are kept were sent, or
		// keeps them. receipt is undefined if the server is older than receipts are.
		report: async (receipt, times) => {
			if (typeof receipt === "string" && receipt.startsWith(path)) {
				await remember.addReport({ receipt, times });
			}
			await send();
		},
	};
})();
