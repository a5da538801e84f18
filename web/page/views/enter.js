import { call } from "../api.js";
import { button, el, field, form, tick } from "../dom.js";
import { offerPasskeys, passkeysWork, usePasskey } from "../passkey.js";
import { stopRinging } from "../ring.js";
import { go } from "../session.js";

const { texts } = self;

function enter(user, path) {
	window.dispatchEvent(new CustomEvent("idlepush-entered", { detail: user }));
	go(path);
}

// begin returns what to do first while nobody is set up, or undefined.
async function begin() {
	const { needed } = await call("GET", "/setup").catch(() => ({}));
	return needed && el("div", { class: "card" }, el("p", {}, texts.setupNeeded), el("ul", {}, texts.setupCommands.map((command) => el("li", {}, el("code", {}, command)))));
}

// insecure returns the view for a page that cannot have a session.
function insecure(title) {
	return { title, node: el("p", { class: "card" }, texts.insecure) };
}

function nameField() {
	return field("name", texts.name, { autocomplete: "username", required: true, maxlength: 64 }, texts.nameHint);
}

function newPasswordField() {
	return field("password", texts.password, { type: "password", autocomplete: "new-password", required: true, minlength: 10 }, texts.passwordHint);
}

// setup creates the first admin, with the token of the link in the log.
export async function setup(token) {
	if (!window.isSecureContext) {
		return insecure(texts.setupTitle);
	}
	return { title: texts.setupTitle, node: [el("p", {}, texts.step(1, 3)), el("progress", { value: 1, max: 3, "aria-label": texts.step(1, 3) }), el("p", {}, texts.setupText),
		form(texts.setupButton, async (values) => {
			const { user } = await call("POST", "/setup", { token, name: values.get("name"), password: values.get("password"), session: true });
			enter(user, "welcome");
		}, nameField(), newPasswordField())] };
}

export async function login() {
	const first = await begin();
	if (!window.isSecureContext) {
		const view = insecure(texts.loginTitle);
		return { ...view, node: [view.node, first].filter(Boolean) };
	}
	if (first) {
		return { title: texts.setupTitle, node: first };
	}
	const logIn = async (path, body) => {
		const { user } = await call("POST", path, { ...body, stay: new FormData(byPassword).has("stay") });
		const then = sessionStorage.getItem("then") ?? "";
		sessionStorage.removeItem("then");
		enter(user, then.replace(/^#\/?/, ""));
	};
	const byPassword = form(texts.loginButton, (values) => logIn("/login", { name: values.get("name"), password: values.get("password") }),
		field("name", texts.name, { autocomplete: "username webauthn", required: true }),
		field("password", texts.password, { type: "password", autocomplete: "current-password", required: true }),
		tick("checkbox", "stay", "yes", texts.stay, true));
	const endOffer = offerPasskeys((passkey) => logIn("/login/passkey", { passkey }));
	return { title: texts.loginTitle, node: [byPassword, passkeysWork && el("div", { class: "buttons" }, button(texts.loginByPasskey, async () => {
		endOffer();
		await logIn("/login/passkey", { passkey: await usePasskey() });
	})), el("p", { class: "hint" }, texts.forgotten), el("p", { class: "hint" }, texts.noAccountYet)].filter(Boolean) };
}

// opened shows what an invite lets its holder do. title is for when there is no such invite.
async function opened(code, title) {
	if (!window.isSecureContext) {
		return insecure(title);
	}
	let invite;
	try {
		invite = await call("POST", "/invites/look", { code });
	} catch (problem) {
		return { title, node: [el("p", { class: "card" }, problem.status === 404 ? texts.joinGone : problem.message), el("p", {}, el("a", { href: "#/login" }, texts.loginTitle))] };
	}
	const accept = async (body) => (await call("POST", "/invites/accept", { code, ...body })).user;
	switch (invite.for) {
		case "device":
			return { title: texts.joinDeviceTitle, node: [el("p", {}, texts.joinDevice(invite.by)), form(texts.joinButton, async () => enter(await accept({}), "welcome"))] };
		case "password":
			return { title: texts.choosePassword(invite.name), node: [el("p", {}, texts.choosePasswordText), passwordForm(invite.name, accept)] };
	}
	return { title: texts.joinTitle(invite.by), node: [el("p", {}, texts.joinPerson),
		form(texts.joinButton, async (values) => enter(await accept({ name: values.get("name"), password: values.get("password") }), "welcome"), nameField(), newPasswordField())] };
}

// passwordForm asks for the new password of the person of that name.
function passwordForm(name, accept) {
	return form(texts.choosePasswordButton, async (values) => {
		const end = values.has("devices");
		const user = await accept({ password: values.get("password"), devices: end ? "end" : "keep" });
		if (end) {
			await stopRinging();
		}
		enter(user, "");
	}, field("name", texts.name, { value: name, autocomplete: "username", readonly: true }, texts.nameHint), newPasswordField(),
	tick("checkbox", "devices", "end", texts.endAllDevices, false, texts.endDevicesHint));
}

// join accepts an invite, as a new person or for another browser of the user.
export const join = (code) => opened(code, texts.joinDeviceTitle);

// password lets a person choose a new password, by a link that was made for that.
export const password = (code) => opened(code, texts.newPassword);
