// What this browser remembers, for the page and for its service worker: which device it is here ({id, user, name, content, accounts}), and which
// notifications it was told of. A classic script, for a service worker takes no module everywhere yet.
self.remember = (() => {
	const mostTold = 200;

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
		device: () => run("readonly", (store, give) => { store.get("device").onsuccess = (event) => give(event.target.result); }),
		setDevice: ({ id, user, name, content, accounts }) => run("readwrite", (store) => store.put({ id, user, name, content, accounts }, "device")),
		forgetDevice: () => run("readwrite", (store) => store.delete("device")),
		// told notes that a notification is shown and says whether it was before.
		told: (id) => run("readwrite", (store, give) => {
			store.get("told").onsuccess = (event) => {
				const ids = event.target.result ?? [];
				give(ids.includes(id));
				store.put([...ids.filter((other) => other !== id), id].slice(-mostTold), "told");
			};
		}),
	};
})();
