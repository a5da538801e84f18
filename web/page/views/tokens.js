import { age } from "../age.js";
import { all, call } from "../api.js";
import { button, confirmed, copyable, el, field, form, tick } from "../dom.js";
import { proved } from "../proof.js";
import { qr } from "../qr.js";
import { warning } from "./invitation.js";

const { texts } = self;

// tokens lists the tokens of apps and programs, and makes another.
export async function tokens() {
	const list = el("ul", { class: "plain" }, (await all("/tokens")).map(line));
	const made = el("div");
	return el("section", { class: "card" }, el("h2", {}, texts.tokens), el("p", {}, texts.tokensText), list, made,
		el("details", {}, el("summary", {}, texts.tokenNew), form(texts.tokenMake, async (values, submit) => {
			const token = await proved(() => call("POST", "/tokens", { name: values.get("name"), scope: values.get("scope") }));
			if (token) {
				list.prepend(line(token));
				made.replaceChildren(secret(token));
				submit.form.reset();
			}
		}, field("name", texts.tokenName, { maxlength: 100 }), el("fieldset", {}, el("legend", {}, texts.tokenFor),
			Object.entries(texts.tokenScopes).map(([scope, text]) => tick("radio", "scope", scope, text, scope === "device"))))));
}

function line(token) {
	const node = el("li", { class: "row" }, el("span", {}, token.name, el("br"),
		el("span", { class: "soft" }, texts.tokenScopes[token.scope], el("br"), texts.tokenMade, age(token.created), ", ",
			token.used ? [texts.tokenUsed, age(token.used)] : texts.tokenUnused)),
	button(texts.tokenEnd, async () => {
		if (await confirmed(texts.tokenEndSure(token.name), texts.tokenEnd, texts.cancel)) {
			await call("DELETE", `/tokens/${token.id}`);
			node.remove();
		}
	}, { "aria-label": `${texts.tokenEnd}: ${token.name}` }));
	return node;
}

// secret shows a new token. It is shown only once and must stay while it is scanned.
function secret({ qr: rows, reach, token, url }) {
	return el("div", { "data-keep": true }, el("p", {}, texts.tokenOnce), warning(reach), qr(rows, texts.tokenQR),
		el("p", { class: "copy" }, texts.tokenServer, el("code", {}, url)),
		copyable(token));
}
