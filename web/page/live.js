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
	// A page that was left is kept by the browser for a minute in case that one goes back; its connection would be one of the few that there are per server.
	const leave = () => source.close();
	const comeBack = (event) => {
		if (event.persisted) {
			away = true;
			connect();
		}
	};
	connect();
	window.addEventListener("pagehide", leave);
	window.addEventListener("pageshow", comeBack);
	return () => {
		window.removeEventListener("pagehide", leave);
		window.removeEventListener("pageshow", comeBack);
		source.close();
		clearTimeout(timer);
	};
}
