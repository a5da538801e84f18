import { call, Problem } from "./api.js";
import { el } from "./dom.js";
import { go, session } from "./session.js";

const { texts } = self;

// providerName returns what people call an OAuth provider: one that the page knows, or the host of
// its URL.
export function providerName(oauth) {
	return texts.providers[oauth] ?? (URL.canParse(oauth) ? new URL(oauth).hostname : oauth);
}

// beginSignIn begins to sign in to a mailbox at its provider. body is that of POST /consents. The
// browser goes to the provider and comes back, or the person enters a code elsewhere. kept is what
// this window is to know then: then, the view after it; account, the mailbox that is to change; link.
export async function beginSignIn(body, kept = {}) {
	const consent = await call("POST", "/consents", body);
	sessionStorage.setItem(`sign-in ${consent.id}`, JSON.stringify(kept));
	if (consent.url?.startsWith("https://")) {
		location.assign(consent.url);
		await new Promise((resolve) => setTimeout(resolve, 5000)); // until the browser is gone
	} else {
		go(`sign-in/${consent.id}`);
	}
}

// keptOf returns what beginSignIn has kept for a sign-in.
export function keptOf(id) {
	return JSON.parse(sessionStorage.getItem(`sign-in ${id}`) ?? "{}");
}

// noClient returns what to do where this server has no client of the provider, for a Problem that
// says so.
function noClient(problem) {
	const { provider } = problem.params;
	if (!session.user.admin) {
		return el("p", { role: "alert" }, texts.noClient(provider));
	}
	return el("div", { role: "alert" }, el("p", {}, texts.noClientAdmin(provider)),
		el("ol", {}, texts.noClientSteps(provider).map((step) => el("li", {}, step))),
		el("p", {}, el("a", { class: "button", href: "#/people" }, texts.noClientPeople)));
}

// signInButton returns a button that begins to sign in, and a place below it for what prevents that.
// If now is true, it is pressed already.
export function signInButton(text, begin, now = false) {
	const wrong = el("div");
	const button = el("button", { type: "button", class: "primary", onclick: async () => {
		button.disabled = true;
		wrong.replaceChildren();
		try {
			await begin();
		} catch (problem) {
			wrong.replaceChildren(problem.code === "no_client" ? noClient(problem) : el("p", { class: "wrong", role: "alert" }, messageOf(problem)));
		} finally {
			button.disabled = false;
		}
	} }, text);
	if (now) {
		button.click();
	}
	return [el("div", { class: "buttons" }, button), wrong];
}

// messageOf returns the message of an error, or those of its fields.
function messageOf(problem) {
	return problem instanceof Problem && problem.fields?.length ? problem.fields.map(({ message }) => message).join(" ") : problem.message;
}
