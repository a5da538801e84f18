import { button, el } from "../dom.js";
import { platform, ring, support } from "../ring.js";
import { browserName } from "../browser.js";

const { texts } = self;

// ringHere returns a button to ring this device, or instructions for what prevents it. It calls
// rung with the device once it rings.
export async function ringHere(rung) {
	switch (await support()) {
	case "insecure":
		return el("p", {}, texts.insecure);
	case "needs_install":
		return el("div", {}, el("h2", {}, texts.iphoneTitle),
			el("ol", { class: "steps" }, texts.iphoneSteps.map(([picture, text]) => el("li", {}, el("img", { src: picture, alt: "", width: 160, height: 120 }), el("span", {}, text)))));
	case "unsupported":
		return el("p", {}, texts.unsupported);
	case "denied":
		return denied();
	}
	const place = el("div", {}, el("p", {}, texts.ringHereText));
	const wrong = el("p", { class: "wrong", role: "alert" });
	const click = button(texts.ringHere, async () => {
		wrong.textContent = "";
		try {
			await rung(await ring(browserName()));
		} catch (problem) {
			if (problem.code === "denied") {
				place.replaceChildren(denied());
				return;
			}
			wrong.textContent = problem.message;
		}
	}, { class: "primary" });
	place.append(wrong, el("div", { class: "buttons" }, click));
	return place;
}

function denied() {
	return el("div", { role: "alert" }, el("p", {}, texts.denied), el("p", {}, texts.deniedHow[platform()]));
}
