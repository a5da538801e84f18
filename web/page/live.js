import { heard, silent } from "./silence.js";

// In ms. The server sends something every 25 s; a stream that a proxy cuts is there again sooner.
const beatWait = 60_000;
const cutWait = 10_000;

// listen calls changed with the kinds of changes on the server, once for changes that come
// together. It says when the server is silent. After the stream was interrupted it calls changed
// with "all". It runs until the returned function is called. It calls refused if the server refuses
// the stream.
export function listen(changed, refused) {
	const kinds = new Set();
	let timer;
	let interrupted = false;
	let source;
	let silence; // timer
	const beat = () => {
		heard();
		clearTimeout(silence);
		silence = setTimeout(() => {
			silent();
			interrupted = true;
			update();
		}, beatWait);
	};
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
		source.addEventListener("change", (event) => {
			beat();
			collect(JSON.parse(event.data).kind);
		});
		source.addEventListener("alive", beat);
		source.addEventListener("open", () => {
			beat();
			if (interrupted) {
				collect("all");
			}
			interrupted = false;
		});
		source.addEventListener("error", () => {
			interrupted = true;
			clearTimeout(silence);
			if (source.readyState === EventSource.CLOSED) {
				refused(); // which asks whether the server is there
			} else {
				silence = setTimeout(silent, cutWait);
			}
		});
	};
	// A browser makes at most six connections to a server over http, and each stream takes one. A
	// hidden page does without.
	const update = () => {
		source?.close();
		source = undefined;
		clearTimeout(silence);
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
		clearTimeout(silence);
		clearTimeout(timer);
	};
}
