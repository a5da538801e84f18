// listen calls changed with the kinds of changes on the server, once for changes that come
// together. After the stream was interrupted it calls changed with "all". It runs until the
// returned function is called. It calls refused if the server refuses the stream.
export function listen(changed, refused) {
	const kinds = new Set();
	let timer;
	let interrupted = false;
	let source;
	const collect = (kind) => {
		kinds.add(kind);
		timer ??= setTimeout(() => {
			timer = undefined;
			const batch = [...kinds];
			kinds.clear();
			changed(batch);
		}, 200);
	};
	const connect = () => {
		source = new EventSource("/api/v1/events");
		source.addEventListener("change", (event) => collect(JSON.parse(event.data).kind));
		source.addEventListener("open", () => {
			if (interrupted) {
				collect("all");
			}
			interrupted = false;
		});
		source.addEventListener("error", () => {
			interrupted = true;
			if (source.readyState === EventSource.CLOSED) {
				refused();
			}
		});
	};
	// A browser makes at most six connections to a server over http, and each stream takes one. A
	// hidden page does without.
	const update = () => {
		source?.close();
		source = undefined;
		if (document.visibilityState === "visible") {
			connect();
		} else {
			interrupted = true;
		}
	};
	update();
	document.addEventListener("visibilitychange", update);
	return () => {
		document.removeEventListener("visibilitychange", update);
		source?.close();
		clearTimeout(timer);
	};
}
