import { silent } from "./silence.js";

const { isProxyError, texts } = self;

document.documentElement.lang = texts.language;
document.getElementById("title").textContent = texts.offlineTitle;
document.getElementById("text").textContent = texts.offline;
document.getElementById("again").textContent = texts.tryAgain;
silent();
document.getElementById("again").addEventListener("click", () => location.reload());
window.addEventListener("online", () => location.reload());
// A redirect counts as an answer: a proxy may ask people to log in again.
setInterval(async () => {
	const response = await fetch("/", { method: "HEAD", cache: "no-store", redirect: "manual" }).catch(() => undefined);
	if (response && !isProxyError(response.status)) {
		location.reload();
	}
}, 5000);
navigator.serviceWorker?.addEventListener("message", ({ data }) => {
	if (typeof data?.go === "string") {
		location.hash = data.go;
		location.reload();
	}
});
