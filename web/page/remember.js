// The store of this browser for the page and its service worker. It has the device ({id, user,
// name, content, accounts}), the notifications that were shown, the reports about them that are
// still to be sent, and the hosts that links of others may open. It is a classic script, because
// service workers cannot load modules in every browser.
self.remember = (() => {
	const maxShown = 200;
	const maxHosts = 100;
	const maxReports = 200;
	const maxReportAge = 7 * 86_400_000; // in ms, as long as the server keeps what they are about

	const sameReport = (one, other) => JSON.stringify(one) === JSON.stringify(other);

	// hostOf returns what a link opens: a host with its port, or for an app the scheme with a
	// colon.
	const hostOf = (link) => new URL(link).host || new URL(link).protocol;

	function open() {
		return new Promise((resolve, reject) => {
			const request = indexedDB.open("idlepush", 1);
			request.onupgradeneeded = () => request.result.createObjectStore("kept");
			request.onsuccess = () => resolve(request.result);
			request.onerror = () => reject(request.error);
		});
	}

	async function run(mode, act) {
		const db = await open();
		try {
			return await new Promise((resolve, reject) => {
				const transaction = db.transaction("kept", mode);
				let result;
				act(transaction.objectStore("kept"), (value) => { result = value; });
				transaction.oncomplete = () => resolve(result);
				transaction.onerror = transaction.onabort = () => reject(transaction.error);
			});
		} finally {
			db.close();
		}
	}

	return {
		hostOf,
		// allows resolves to whether allow was called for a link to the same host. Of too many
		// hosts, those are forgotten that were allowed first.
		allows: (link) => run("readonly", (store, resolveTo) => {
			store.get("hosts").onsuccess = (event) => resolveTo((event.target.result ?? []).includes(hostOf(link)));
		}),
		allow: (link) => run("readwrite", (store) => {
			store.get("hosts").onsuccess = (event) => {
				const hosts = event.target.result ?? [];
				store.put([...hosts.filter((host) => host !== hostOf(link)), hostOf(link)].slice(-maxHosts), "hosts");
			};
		}),
		device: () => run("readonly", (store, resolveTo) => { store.get("device").onsuccess = (event) => resolveTo(event.target.result); }),
		setDevice: ({ id, user, name, content, accounts }) => run("readwrite", (store) => store.put({ id, user, name, content, accounts }, "device")),
		forgetDevice: () => run("readwrite", (store) => store.delete("device")),
		// The reports that are to be sent, oldest first: {receipt, times, at}. Of too many, the
		// oldest are forgotten.
		reports: () => run("readonly", (store, resolveTo) => {
			store.get("reports").onsuccess = (event) => resolveTo((event.target.result ?? []).filter(({ at }) => Date.now() - at < maxReportAge));
		}),
		addReport: ({ receipt, times }) => run("readwrite", (store) => {
			store.get("reports").onsuccess = (event) => store.put([...event.target.result ?? [], { receipt, times, at: Date.now() }].slice(-maxReports), "reports");
		}),
		forgetReport: (report) => run("readwrite", (store) => {
			store.get("reports").onsuccess = (event) => store.put((event.target.result ?? []).filter((other) => !sameReport(report, other)), "reports");
		}),
		// addShown stores that a notification is shown, and resolves to whether it was before.
		addShown: (id) => run("readwrite", (store, resolveTo) => {
			store.get("told").onsuccess = (event) => {
				const ids = event.target.result ?? [];
				resolveTo(ids.includes(id));
				store.put([...ids.filter((other) => other !== id), id].slice(-maxShown), "told");
			};
		}),
	};
})();
