import { age } from "../age.js";
import { all, call } from "../api.js";
import { button, confirmed, el, field, form, tell, tick } from "../dom.js";
import { stopRinging } from "../ring.js";
import { withProof } from "../proof.js";
import { go, session } from "../session.js";
import { passkeys } from "./passkeys.js";
import { tokens } from "./tokens.js";

const { texts } = self;

export async function me() {
	const [user, sessions, devices, keys, apps] = await Promise.all([call("GET", "/me"), all("/sessions"), all("/devices"), all("/passkeys"), tokens()]);
	const setPassword = async (values, current) => {
		const [end, endKeys] = ["devices", "passkeys"].map((name) => values.has(name));
		await call("PATCH", "/me", { ...current, password: values.get("password"), devices: end ? "end" : "keep", passkeys: endKeys ? "end" : "keep" });
		if (end) {
			await stopRinging();
		}
		tell(end ? texts.passwordChangedEnded : texts.passwordChanged);
		left();
		return true;
	};
	return { title: texts.meTitle, node: [
		el("section", { class: "card" }, form(texts.save, async (values) => {
			session.user = await call("PATCH", "/me", { name: values.get("name") });
			tell(texts.saved);
		}, field("name", texts.changeName, { value: session.user.name, autocomplete: "username" }))),
		el("details", { class: "card", open: user.password_given }, el("summary", {}, texts.changeOwnPassword), user.password_given && el("p", {}, texts.passwordGiven), form(texts.save, async (values) => {
			if (keys.length === 0) {
				await setPassword(values, { current_password: values.get("current_password") });
			} else {
				await withProof(texts.passwordProof, ({ password, passkey }) => setPassword(values, { current_password: password, current_passkey: passkey }));
			}
		}, keys.length === 0 && field("current_password", texts.currentPassword, { type: "password", autocomplete: "current-password" }),
		field("password", texts.newPassword, { type: "password", autocomplete: "new-password" }, texts.passwordHint),
		devices.length > 0 && tick("checkbox", "devices", "end", texts.endDevices(devices.map(({ name }) => name)), false, texts.endDevicesHint),
		keys.length > 0 && tick("checkbox", "passkeys", "end", texts.endPasskeys(keys.map(({ name }) => name)), false, texts.endPasskeysHint))),
		passkeys(keys, user.only_passkeys),
		el("section", { class: "card" }, el("h2", {}, texts.sessions), el("ul", { class: "plain" }, sessions.map(line))),
		apps,
		el("div", { class: "buttons" }, button(texts.logOut, async () => {
			if (await confirmed(texts.logOutSure, texts.logOut, texts.cancel)) {
				try {
					await call("DELETE", "/login");
				} finally {
					await stopRinging();
				}
				left();
			}
		}, { class: "danger" })),
	], on: [] };
}

function line(s) {
	const node = el("li", { class: "row" }, el("span", {}, s.name, s.current && ` (${texts.sessionHere})`, el("br"), el("span", { class: "soft" }, texts.sessionUsed, age(s.used))),
		!s.current && button(texts.endSession, async () => {
			if (await confirmed(texts.endSessionSure(s.name), texts.endSession, texts.cancel)) {
				await call("DELETE", `/sessions/${s.id}`);
				node.remove();
			}
		}, { "aria-label": `${texts.endSession}: ${s.name}` }));
	return node;
}

function left() {
	session.user = undefined;
	go("login");
}
