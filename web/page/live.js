// listen calls changed(kind) for whatever changes on the server, once for what comes together, and with "all" after it could not be heard for a
// while. It goes on until it is stopped; where the server lets it listen no more it calls refused.
export function listen(changed, refused) {
	const kinds = new Set();
	let timer;
	let away = false;
	let source;
	const hear = (kind) => {
		kinds.add(kind);
		timer ??= setTimeout(() => {
			timer = undefined;
			const heard = [...kinds];
			kinds.clear();
			changed(heard);
		}, 200);
	};
	const connect = () => {
		source = new EventSource("/api/v1/events");
		source.addEventListener("change", (event) => hear(JSON.parse(event.data).kind));
		source.addEventListener("open", () => {
			if (away) {
				hear("all");
			}
			away = false;
		});
		source.addEventListener("error", () => {
			away = true;
			if (source.readyState === EventSource.CLOSED) {
				refused();
			}
		});
	};
	// Each page that listens takes one of the six connections that a browser makes to a server over http; one that is not seen can do without.
	const look = () => {
		source?.close();
		source = undefined;
		if (document.visibilityState === "visible") {
			connect();
		} else {
			away = true;
		}
	};
	look();
	document.addEventListener("visibilitychange", look);
	return () => {
		document.removeEventListener("visibilitychange", look);
		source?.close();
		clearTimeout(timer);
	};
}
