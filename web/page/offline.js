document.getElementById("title").textContent = texts.offlineTitle;
document.getElementById("text").textContent = texts.offline;
document.getElementById("again").textContent = texts.tryAgain;
document.getElementById("again").addEventListener("click", () => location.reload());
