import { age } from "../age.js";
import { call } from "../api.js";
import { button, confirmed, el, field, form, tell } from "../dom.js";
import { makePasskey, passkeysWork } from "../passkey.js";
import { proved, withProof } from "../proof.js";

const { texts } = self;

// changed draws the view anew, once the button that was clicked is done: what the password is for
// depends on the passkeys.
const changed = () => setTimeout(() => window.dispatchEvent(new Event("hashchange")));

// passkeys lists the passkeys that the user has, makes another, and switches the log-in by
// password, which is off if only is true.
export function passkeys(have, only) {
	const switched = (to) => async () => {
		const done = await withProof(to ? texts.onlyPasskeysSure : texts.passwordOnSure, async ({ password, passkey }) => {
			await call("PATCH", "/me", { only_passkeys: to, current_password: password, current_passkey: passkey });
			return true;
		});
		if (done) {
			tell(to ? texts.onlyPasskeysOn : texts.passwordOn);
			changed();
		}
	};
	return el("section", { class: "card" }, el("h2", {}, texts.passkeys), el("p", {}, texts.passkeysText), el("ul", { class: "plain" }, have.map(line)),
		passkeysWork ? el("details", {}, el("summary", {}, texts.passkeyNew), form(texts.passkeyMake, async (values) => {
			const options = await withProof(texts.passkeyProof, (proof) => call("POST", "/passkeys/options", proof));
			if (options) {
				await call("POST", "/passkeys", { name: values.get("name"), passkey: await makePasskey(options) });
				tell(texts.passkeyAdded);
				changed();
			}
		}, field("name", texts.passkeyName, { maxlength: 100, autocomplete: "off" }, texts.passkeyNameHint))) : el("p", { class: "hint" }, texts.passkeysElsewhere),
		only && el("p", {}, texts.onlyPasskeys),
		(only || have.length > 0) && el("div", { class: "buttons" }, button(only ? texts.switchPasswordOn : texts.switchPasswordOff, switched(!only))));
}

function line(k) {
	const site = k.site !== location.hostname && ` (${texts.passkeyFor(k.site)})`;
	return el("li", { class: "row" }, el("span", {}, k.name, site, el("br"),
		el("span", { class: "soft" }, texts.passkeyMade, age(k.created), ", ", k.used ? [texts.passkeyUsed, age(k.used)] : texts.passkeyNotUsed)),
	button(texts.remove, async () => {
		if (await confirmed(texts.passkeyRemoveSure(k.name), texts.remove, texts.cancel) && await proved(async () => {
			await call("DELETE", `/passkeys/${k.id}`);
			return true;
		}, texts.passkeyRemoveProof)) {
			changed();
		}
	}, { "aria-label": `${texts.remove}: ${k.name}` }));
}
