import { clock } from "../age.js";
import { all, call, Problem } from "../api.js";
import { button, confirmed, el, field, form, part, tell, tick } from "../dom.js";
import { reason } from "../reason.js";
import { go, session } from "../session.js";
import { beginSignIn, providerName, signInButton } from "../signin.js";
import { folderTicks } from "./add.js";
import { certificates, fingerprintText } from "./certificate.js";
import { mailboxes } from "./mailboxes.js";
import { wishesOf } from "../wishes.js";
import { mailboxChain, mailboxState } from "./state.js";
import { wishesParts } from "./wishes.js";

const { texts } = self;

const messageLink = "message:%3C{message_id}%3E";
const gmailLink = "https://mail.google.com/mail/u/?authuser={email}#search/rfc822msgid:{message_id}";

// untrusted are the codes of certificates that a person may trust.
const untrusted = ["certificate_untrusted", "certificate_expired", "certificate_wrong_host", "certificate_without_names"];

// lost are the codes of mailboxes whose sign-in is to be repeated, and nothing else.
const lost = ["consent_missing", "consent_ended", "consent_interaction", "consent_declined"];

// mailbox shows a mailbox, and begins with a part of the view if one is named.
export async function mailbox(id, part) {
	return { ...await show(id, false), part };
}

// attention shows the mailbox of an attention, or if that is gone, those that are there. If only a
// sign-in at the provider helps, that begins at once. The way back from there leads to the mailbox.
export async function attention(id) {
	try {
		return { ...await show(id, true), address: `#/mailbox/${id}` };
	} catch (problem) {
		if (problem.status !== 404) {
			throw problem;
		}
		return { ...await mailboxes(), address: "#/mailboxes" };
	}
}

// show returns the view of a mailbox. If now is true, a sign-in that only has to be repeated
// begins.
async function show(id, now) {
	const path = `/accounts/${encodeURIComponent(id)}`;
	const [account, wishes] = await Promise.all([call("GET", path), call("GET", wishesOf(id))]);
	const title = account.name ?? account.email;
	const change = async (body) => {
		await call("PATCH", path, body);
		tell(texts.saved);
	};
	const node = [el("div", { class: "card" }, account.name && el("p", { class: "soft" }, account.email), mailboxState(account), account.enabled && mailboxChain(account))];
	const own = await wishesParts(account, wishes);
	if (account.owner !== session.user.id) {
		const owner = (await all("/users/names")).find(({ id }) => id === account.owner);
		node.push(el("p", {}, texts.sharedByText(owner?.name)), own, el("div", { class: "buttons" }, removal(path, texts.leave, texts.leaveSure)));
		return { title, node, on: [] };
	}
	const names = await all("/users/names");
	const sharedWith = names.filter(({ id }) => account.shared_with.includes(id)).map(({ name }) => name);
	const broken = isBroken(account.status);
	const [open, examine] = [opener(path, account, now), examination(path, broken)];
	node.push(
		...broken ? [open, examine] : [],
		own,
		folders(path, account, change),
		linkPart(account, change),
		sharing(path, account, names),
		part(texts.details, {}, details(account)),
		...broken ? [] : [examine, open],
		el("div", { class: "buttons" },
			button(account.enabled ? texts.pause : texts.resume, async () => {
				await change({ enabled: !account.enabled });
				go("mailboxes");
			}),
			removal(path, texts.removeMailbox, texts.removeMailboxSure(account.email, sharedWith))));
	return { title, node, on: [] };
}

function isBroken({ state, code = "", next_try: next }) {
	return state === "attention" || next !== undefined || untrusted.includes(code);
}

// passwordPart asks for the password, and if need be whether the server's certificate is trusted.
function passwordPart(path, status) {
	const changed = status.code === "certificate_changed";
	const broken = isBroken(status);
	const title = changed ? texts.trustChanged : broken ? texts.enterPassword : texts.changePassword;
	const certificate = certificates();
	return part(title, { open: broken }, changed && [el("p", {}, texts.trustChangedText), prints(status.params)], form(changed ? texts.tryLogin : texts.save, certificate.asking(async (values) => {
		await certificate.call("PATCH", path, certificate.of({ password: values.get("password") }));
		tell(texts.saved);
		go("mailboxes");
	}), field("password", texts.mailPassword, { type: "password", autocomplete: "off", required: true }, texts.mailPasswordHint), certificate.place));
}

// prints shows the fingerprints of the certificate that was trusted and of the one that took its
// place.
function prints(params) {
	return el("dl", {}, Object.entries(texts.trustChangedPrints).map(([name, text]) => [el("dt", {}, text), el("dd", {}, fingerprintText(params[name]))]));
}

// opener returns what opens the mailbox: a button to sign in at its provider, or a form for its
// password. If now is true, the button is pressed already where only that helps.
function opener(path, account, now) {
	const { id, oauth, status } = account;
	if (!oauth) {
		const password = passwordPart(path, status);
		return status.code === "oauth_required" ? [signInButton(texts.signInInstead, () => moveToProvider(account), now), password] : password;
	}
	const name = providerName(oauth);
	const again = signInButton(texts.signInAgain(name), () => beginSignIn({ account: id }, {}, oauth), now && lost.includes(status.code));
	return isBroken(status) ? again : part(texts.signInPart(name), {}, again);
}

// moveToProvider begins to sign in to a mailbox whose provider takes its password no more.
async function moveToProvider({ id, email, host, port, security, username, certificate }) {
	const { settings: [{ oauth } = {}] } = await call("POST", "/accounts/discover", { email, host });
	if (!oauth) {
		throw new Error(texts.noProvider);
	}
	await beginSignIn({ email, host, port, security, username, certificate, oauth }, { account: id });
}

function removal(path, text, question) {
	return button(text, async () => {
		if (await confirmed(question, text, texts.cancel)) {
			await call("DELETE", path);
			go("mailboxes");
		}
	}, { class: "danger" });
}

// examination goes the way to the mail server when the user asks for it, and shows each step.
function examination(path, open) {
	const place = el("div", { class: "steps", "aria-live": "polite" });
	return part(texts.examine, { open }, el("p", { class: "hint" }, texts.examineHint),
		el("div", { class: "buttons" }, button(texts.examineNow, async () => {
			place.replaceChildren(el("p", {}, texts.examining));
			try {
				const { steps } = await call("POST", `${path}/examine`);
				const wrong = steps.filter(({ verdict }) => verdict === "wrong").length;
				place.replaceChildren(el("p", {}, texts.examined(wrong)), el("ul", { class: "plain" }, steps.map(examinedStep)));
			} catch (problem) {
				place.replaceChildren(el("p", { class: "wrong" }, problem.message));
			}
		})), place);
}

function examinedStep(step) {
	const tone = { ok: "good", look: "warn", wrong: "bad" }[step.verdict];
	if (step.code === "examined_capabilities") {
		return el("li", { class: `state ${tone}` }, texts.capabilities, part(texts.showCapabilities, {}, el("p", { class: "soft" }, step.params.capabilities)));
	}
	return el("li", { class: `state ${tone}` }, texts.verdicts[step.verdict], reason(step, step.text),
		step.milliseconds > 0 && el("span", { class: "soft" }, ` ${texts.milliseconds(step.milliseconds)}`));
}

// folders loads the folders of the mail server when its part is opened.
function folders(path, account, change) {
	const place = el("div", {}, el("p", {}, texts.loading));
	const node = part(`${texts.changeFolders} (${account.folders.length})`, {}, place);
	node.addEventListener("toggle", async () => {
		if (!node.open) {
			return;
		}
		try {
			const there = await call("GET", `${path}/folders`);
			place.replaceChildren(form(texts.save, (values) => change({ folders: values.getAll("folders") }), folderTicks(there, account.folders)));
		} catch (problem) {
			place.replaceChildren(el("p", { class: "wrong", role: "alert" }, problem.message));
		}
	}, { once: true });
	return node;
}

function linkPart(account, change) {
	const presets = { page: "", message: messageLink, gmail: gmailLink };
	const chosen = Object.keys(presets).find((name) => presets[name] === (account.link ?? "")) ?? "custom";
	const own = field("link", texts.linkAddress, { value: chosen === "custom" ? account.link : "", inputmode: "url" }, texts.linkHint);
	own.hidden = chosen !== "custom";
	const ticks = Object.entries(texts.links).map(([name, text]) => tick("radio", "preset", name, text, name === chosen));
	const f = form(texts.save, (values) => {
		const preset = values.get("preset");
		return change({ link: preset === "custom" ? values.get("link").trim() : presets[preset] });
	}, el("fieldset", { "aria-label": texts.link }, ticks), own);
	f.addEventListener("change", () => { own.hidden = new FormData(f).get("preset") !== "custom"; });
	return part(texts.link, {}, f);
}

function sharing(path, account, names) {
	const others = names.filter(({ id }) => id !== account.owner);
	if (others.length === 0) {
		return part(texts.share, {}, el("p", {}, texts.nobodyElse));
	}
	const people = el("div");
	const show = ({ shared_with: shared, offered_to: offered = [] }) => {
		people.replaceChildren(...others.map(({ id, name }) => tick("checkbox", "shared_with", id, name, shared.includes(id) || offered.includes(id), offered.includes(id) ? texts.notAnswered : "")));
	};
	show(account);
	return part(texts.share, {}, form(texts.save, async (values) => {
		try {
			show(await call("PATCH", path, { shared_with: values.getAll("shared_with") }));
		} catch (problem) {
			throw problem.code === "share_refused" ? new Problem(problem.status, problem.code, texts.shareRefused(problem.params.person, clock(problem.params.from))) : problem;
		}
		tell(texts.saved);
	}, el("fieldset", { "aria-label": texts.share }, el("p", { class: "hint" }, texts.shareHint), people)));
}

function details({ host, port, folders, certificate, status }) {
	const why = reason({ code: status.interval_code, params: status.interval_params }, status.interval_reason);
	const rows = {
		server: `${host}:${port}`, folders: folders.join(", "), since: clock(status.since), lastByte: status.last_byte && clock(status.last_byte),
		confirmed: status.confirmed && clock(status.confirmed), interval: status.interval && [texts.seconds(status.interval), texts.stateReason(why)].filter(Boolean).join(". "),
		connections: status.connections, certificate: certificate && fingerprintText(certificate),
	};
	return el("dl", {}, Object.entries(rows).filter(([, value]) => value !== undefined && value !== "").map(([name, value]) => [el("dt", {}, texts.detail[name]), el("dd", {}, value)]));
}
