import { clock } from "./age.js";

const { texts } = self;

// heard notes that the server has answered just now.
export function heard() {
	try {
		localStorage.setItem("heard", Date.now());
	} catch {
		// The browser has no storage: the text does without the time.
	}
	say("");
}

// silent shows that the server does not answer, and since when, until it answers.
export function silent() {
	let last = 0;
	try {
		last = Number(localStorage.getItem("heard"));
	} catch {
		// As above.
	}
	say(texts.silent(last > 0 && clock(last)));
}

// say does not repeat to a screen reader what it has said.
function say(text) {
	const place = document.getElementById("silence");
	if (place.textContent !== text) {
		place.textContent = text;
	}
}
