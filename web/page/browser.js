// browserName returns a name for this device, until its owner changes it.
export function browserName(agent = navigator.userAgent, touch = navigator.maxTouchPoints) {
	const first = (known) => known.find(([part]) => agent.includes(part))?.[1];
	const browser = first([["Edg", "Edge"], ["OPR/", "Opera"], ["SamsungBrowser/", "Samsung Internet"], ["FxiOS/", "Firefox"], ["Firefox/", "Firefox"], ["CriOS/", "Chrome"],
		["Chrome/", "Chrome"], ["Safari/", "Safari"]]);
	const system = /Macintosh/.test(agent) && touch > 1 ? "iPad" : first([["iPhone", "iPhone"], ["iPad", "iPad"], ["Android", "Android"], ["CrOS", "ChromeOS"], ["Windows", "Windows"],
		["Macintosh", "Mac"], ["Linux", "Linux"]]);
	if (system === "iPhone" || system === "iPad") {
		return system; // the page runs as an app on the Home Screen
	}
	return [browser ?? "Browser", system].filter(Boolean).join(" on ");
}
