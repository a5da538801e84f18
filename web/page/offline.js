document.documentElement.lang = texts.language;
document.getElementById("title").textContent = texts.offlineTitle;
document.getElementById("text").textContent = texts.offline;
document.getElementById("again").textContent = texts.tryAgain;
document.getElementById("again").addEventListener("click", () => location.reload());
window.addEventListener("online", () => location.reload());
navigator.serviceWorker?.addEventListener("message", ({ data }) => {
	if (typeof data?.go === "string") {
		location.hash = data.go;
		location.reload();
	}
});
