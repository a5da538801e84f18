import { button, el, tell } from "../dom.js";
import { qr } from "../qr.js";

const { texts } = self;

// invitation shows the link of an invite, also as a QR code. It is shown only once and must stay
// while it is scanned.
export function invitation(invite) {
	const warning = texts.reach[invite.reach] && el("p", { class: "state warn" }, texts.reach[invite.reach]);
	return el("div", { "data-keep": true }, warning, qr(invite.qr, texts.qrLabel), el("p", { class: "copy" }, el("code", {}, invite.url), button(texts.copy, async () => {
		await navigator.clipboard.writeText(invite.url);
		tell(texts.copied);
	})));
}
