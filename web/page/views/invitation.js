import { button, el, tell } from "../dom.js";
import { qr } from "../qr.js";

const { texts } = self;

// invitation shows the link of an invite, and the same as a QR code.
export function invitation(invite) {
	return el("div", {}, qr(invite.qr, texts.qrLabel), el("p", { class: "copy" }, el("code", {}, invite.url), button(texts.copy, async () => {
		await navigator.clipboard.writeText(invite.url);
		tell(texts.copied);
	})));
}
