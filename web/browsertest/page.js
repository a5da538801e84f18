// Helpers for every call. `find` and `until` wait inside the page, so that tests need not sleep.
(() => {
	const words = text => (text ?? "").replace(/\s+/g, " ").trim();

	// The accessible name of the element, computed with the means of the page.
	const name = e => {
		const by = (e.getAttribute("aria-labelledby") ?? "").split(/\s+/).filter(Boolean).map(id => document.getElementById(id)?.textContent);
		if (by.length) return words(by.join(" "));
		if (e.hasAttribute("aria-label")) return words(e.getAttribute("aria-label"));
		if (e.labels?.length) return words([...e.labels].map(l => {
			const copy = l.cloneNode(true);
			copy.querySelectorAll("input, select, textarea, [aria-hidden=true]").forEach(c => c.remove());
			return copy.textContent;
		}).join(" "));
		if (e.matches("input[type=submit], input[type=button]")) return words(e.value);
		const copy = e.cloneNode(true);
		copy.querySelectorAll("[aria-hidden=true]").forEach(c => c.remove());
		return words(copy.textContent) || words(e.getAttribute("alt") ?? e.title ?? "");
	};

	const shown = e => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && e.getClientRects().length > 0;

	const named = ["a[href]", "button", "input", "select", "textarea", "summary", "[tabindex='0']",
		...["button", "link", "checkbox", "radio", "switch", "tab", "menuitem", "option"].map(role => `[role=${role}]`)].join(", ");
	const all = target => target.startsWith("css:")
		? [...document.querySelectorAll(target.slice(4))]
		: [...document.querySelectorAll(named)].filter(e => name(e) === words(target));

	// Whether a click would hit the element: it is shown, enabled, and not behind another.
	const hittable = e => {
		if (!shown(e) || e.matches(":disabled") || e.closest("[inert]")) return false;
		e.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
		const box = e.getClientRects()[0];
		const there = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
		return there !== null && (e.contains(there) || there.contains(e) || [...(e.labels ?? [])].some(l => l.contains(there)));
	};

	// until calls check every 20 ms until it returns something true, for at most timeout ms.
	const until = async (check, timeout) => {
		const end = performance.now() + timeout;
		for (;;) {
			const value = await check();
			if (value) return value;
			if (performance.now() > end) return null;
			await new Promise(done => setTimeout(done, 20));
		}
	};

	return {
		words, name, shown, all, until,
		find: (target, timeout) => until(() => all(target).find(hittable), timeout),
		names: () => [...document.querySelectorAll(named)].filter(shown).map(name),
	};
})()
