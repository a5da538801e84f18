import { el } from "./dom.js";

const { texts } = self;

// words returns how long ago a time was, or how far ahead it is.
export function words(time, now = Date.now()) {
	const seconds = Math.round((now - Date.parse(time)) / 1000);
	const distance = Math.abs(seconds);
	const units = [[60, 1, "second"], [3600, 60, "minute"], [86400, 3600, "hour"], [Infinity, 86400, "day"]];
	const [, size, unit] = units.find(([below]) => distance < below);
	return new Intl.RelativeTimeFormat(texts.language, { numeric: "auto" }).format(-Math.sign(seconds) * Math.floor(distance / size), unit);
}

// age creates a time element that shows how long ago a time was, and keeps itself up to date.
export function age(time) {
	return el("time", { datetime: time, title: new Date(time).toLocaleString(texts.locale()), class: "age" }, words(time));
}

// clock returns a time of day, with the date unless it is today.
export function clock(time) {
	const date = new Date(time);
	const today = date.toDateString() === new Date().toDateString();
	return date.toLocaleString(texts.locale(), today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}

// day returns a date, today's too.
export function day(time) {
	return new Date(time).toLocaleDateString(texts.locale(), { dateStyle: "medium" });
}

setInterval(() => {
	for (const node of document.querySelectorAll("time.age")) {
		node.textContent = words(node.dateTime);
	}
}, 5000);
