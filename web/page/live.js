// listen calls changed(kind) for whatever changes on the server, once for what comes together, and with "all" after it could not be heard for a
// while. It goes on until it is stopped.
export function listen(changed) {
	const kinds = new Set();
	let timer;
	let away = false;
	const hear = (kind) => {
		kinds.add(kind);
		timer ??= setTimeout(() => {
			timer = undefined;
			const heard = [...kinds];
			kinds.clear();
			changed(heard);
		}, 200);
	};
	const source = new EventSource("/api/v1/events");
	source.addEventListener("change", (event) => hear(JSON.parse(event.data).kind));
	source.addEventListener("open", () => {
		if (away) {
			hear("all");
		}
		away = false;
	});
	source.addEventListener("error", () => { away = true; });
	return () => {
		source.close();
		clearTimeout(timer);
	};
}
