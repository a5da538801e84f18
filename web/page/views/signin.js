import { call } from "../api.js";
import { copyable, el, form, tell } from "../dom.js";
import { reason } from "../reason.js";
import { go } from "../session.js";
import { beginSignIn, keptOf, signInButton } from "../signin.js";
import { folderTicks } from "./add.js";
import { question } from "./certificate.js";

const { texts } = self;

// pollInterval is the time between two looks at a sign-in that waits, in milliseconds.
const pollInterval = 1500;

// signIn shows how far a sign-in to a mailbox has come, and uses it once it is ready.
export async function signIn(id) {
	const path = `/consents/${encodeURIComponent(id)}`;
	const place = el("div");
	let consent;
	try {
		consent = await call("GET", path);
	} catch (problem) {
		if (problem.status !== 404) {
			throw problem;
		}
		return { title: texts.signInTitle, node: [el("p", {}, texts.signInGone), el("div", { class: "buttons" }, el("a", { class: "button", href: "#/mailboxes" }, texts.toMailboxes))], on: [] };
	}
	place.append(stage(consent));
	if (consent.state === "waiting") {
		follow(path, place, consent);
	}
	return { title: texts.signInAt(consent.provider), node: place, on: [] };
}

// follow looks at a sign-in until it waits no more, or another view is shown.
async function follow(path, place, shown) {
	for (;;) {
		await new Promise((resolve) => setTimeout(resolve, pollInterval));
		if (shown.drawn && !place.isConnected) {
			return;
		}
		shown.drawn ||= place.isConnected;
		try {
			const consent = await call("GET", path);
			if (consent.state !== "waiting") {
				place.replaceChildren(stage(consent));
				return;
			}
		} catch (problem) {
			if (problem.status === 404) {
				place.replaceChildren(el("p", { role: "alert" }, texts.signInGone));
				return;
			}
		}
	}
}

// stage returns what a sign-in is at.
function stage(consent) {
	const mailbox = el("p", { class: "soft" }, consent.email || consent.username);
	if (consent.state === "failed") {
		return failure(consent, mailbox);
	}
	if (consent.state === "ready") {
		return el("div", {}, mailbox, use(consent));
	}
	if (consent.user_code) {
		return el("div", {}, mailbox, el("p", {}, texts.enterCode),
			el("p", {}, el("a", { href: consent.verification_url, target: "_blank", rel: "noreferrer" }, consent.verification_url)),
			copyable(consent.user_code, "", { class: "code" }),
			el("p", { role: "status" }, texts.waitForCode));
	}
	return el("div", {}, mailbox, consent.url ? el("div", { class: "buttons" }, el("a", { class: "button primary", href: consent.url }, texts.signInAt(consent.provider)))
		: el("p", { role: "status" }, texts.loading));
}

// failure says why a sign-in has failed, with what begins another one. It may be that the mail
// server shows a certificate that the person can trust.
function failure(consent, mailbox) {
	const { email, host, port, security, username, certificate, oauth, account, shown_certificate: shown } = consent;
	const said = reason(consent, consent.reason);
	const kept = keptOf(consent.id);
	const again = { email, host, port, security, username, oauth };
	if (shown) {
		return el("div", {}, mailbox, question({ message: said, certificate: shown },
			() => beginSignIn({ ...again, certificate: shown.fingerprint }, { ...kept, account: account ?? kept.account })));
	}
	return el("div", {}, mailbox, el("p", { class: "state bad", role: "alert" }, texts.stateReason(said)),
		signInButton(texts.signInAgain(consent.provider), () => beginSignIn(account ? { account } : { ...again, certificate }, kept, oauth)));
}

// use stores a consent with its account, or asks for the folders of a new account.
function use(consent) {
	const kept = keptOf(consent.id);
	const account = consent.account ?? kept.account;
	const { id, email, host, port, security, username, certificate, check } = consent;
	const done = () => sessionStorage.removeItem(`sign-in ${id}`);
	if (account) {
		const wrong = el("div");
		call("PATCH", `/accounts/${encodeURIComponent(account)}`, { consent: id, ...(consent.account ? {} : { certificate }) }).then(() => {
			done();
			tell(texts.signedIn);
			go(`mailbox/${account}`);
		}, (problem) => wrong.replaceChildren(el("p", { class: "wrong", role: "alert" }, problem.message)));
		return [el("p", { role: "status" }, texts.loading), wrong];
	}
	return form(texts.watch, async (values) => {
		await call("POST", "/accounts", { email, host, port, security, username, certificate, consent: id, folders: values.getAll("folders"), ...(kept.link ? { link: kept.link } : {}) });
		done();
		tell(texts.watched(email));
		go(kept.then ?? "mailboxes");
	}, folderTicks(check, ["INBOX"]));
}
