import { call } from "../api.js";
import { button, copyable, el } from "../dom.js";
import { proved } from "../proof.js";
import { qr } from "../qr.js";

const { texts } = self;

// warning returns what to tell about an address that others cannot reach, or undefined.
export function warning(reach) {
	return texts.reach[reach] && el("p", { class: "state warn" }, texts.reach[reach]);
}

// invitation shows the link of an invite, also as a QR code. It is shown only once and must stay
// while it is scanned.
export function invitation(invite) {
	return el("div", { "data-keep": true }, warning(invite.reach), qr(invite.qr, texts.qrLabel), copyable(invite.url));
}

// anotherPhone lets another phone or browser of the user join.
export function anotherPhone() {
	const code = el("div");
	return el("section", { class: "card" }, el("h2", {}, texts.anotherPhone), el("p", {}, texts.anotherPhoneText), code,
		button(texts.showCode, async () => {
			const invite = await proved(() => call("POST", "/invites", { for: "device" }));
			if (invite) {
				code.replaceChildren(invitation(invite));
			}
		}));
}
