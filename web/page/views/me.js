import { age } from "../age.js";
import { all, call } from "../api.js";
import { button, confirmed, el, field, form, tell, tick } from "../dom.js";
import { stopRinging } from "../ring.js";
import { go, session } from "../session.js";
import { tokens } from "./tokens.js";

const { texts } = self;

export async function me() {
	const [sessions, devices, apps, { password_given: given }] = await Promise.all([all("/sessions"), all("/devices"), tokens(), call("GET", "/me")]);
	return { title: texts.meTitle, node: [
		el("section", { class: "card" }, form(texts.save, async (values) => {
			session.user = await call("PATCH", "/me", { name: values.get("name") });
			tell(texts.saved);
		}, field("name", texts.changeName, { value: session.user.name, autocomplete: "username" }))),
		el("details", { class: "card", open: given }, el("summary", {}, texts.changeOwnPassword), given && el("p", {}, texts.passwordGiven), form(texts.save, async (values) => {
			const end = values.has("devices");
			await call("PATCH", "/me", { password: values.get("password"), current_password: values.get("current_password"), devices: end ? "end" : "keep" });
			if (end) {
				await stopRinging();
			}
			tell(end ? texts.passwordChangedEnded : texts.passwordChanged);
			left();
		}, field("current_password", texts.currentPassword, { type: "password", autocomplete: "current-password" }),
		field("password", texts.newPassword, { type: "password", autocomplete: "new-password" }, texts.passwordHint),
		devices.length > 0 && tick("checkbox", "devices", "end", texts.endDevices(devices.map(({ name }) => name)), false, texts.endDevicesHint))),
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
