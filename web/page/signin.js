import { call, Problem } from "./api.js";
import { copyable, el } from "./dom.js";
import { go, session } from "./session.js";

const { texts } = self;

// providerName returns what people call an OAuth provider: one that the page knows, or the host of
// its URL.
export function providerName(oauth) {
	return texts.providers[oauth] ?? (URL.canParse(oauth) ? new URL(oauth).hostname : oauth);
}

// wanted is the key under which a window stores the sign-in that this server has no client for.
const wanted = "sign-in wanted";

// beginSignIn begins to sign in to a mailbox at its provider. body is that of POST /consents. The
// browser goes to the provider and comes back, or the person enters a code elsewhere. kept is what
// this window is to know then: then, the view after it; account, the mailbox that is to change;
// link.
export async function beginSignIn(body, kept = {}, oauth = body.oauth) {
	let consent;
	try {
		consent = await call("POST", "/consents", body);
	} catch (problem) {
		if (problem.code === "no_client") {
			sessionStorage.setItem(wanted, JSON.stringify({ body, kept, oauth }));
			problem.oauth = oauth;
		}
		throw problem;
	}
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

// resumeSignIn goes on with the sign-in that this server had no client for, and reports whether
// there was one.
export async function resumeSignIn(oauth) {
	const sought = JSON.parse(sessionStorage.getItem(wanted) ?? "{}");
	if (sought.oauth !== oauth) {
		return false;
	}
	sessionStorage.removeItem(wanted);
	await beginSignIn(sought.body, sought.kept, oauth);
	return true;
}

// noClient returns what to do about a Problem that says that this server has no client of the
// provider.
async function noClient({ params: { provider }, oauth }) {
	if (!session.user.admin) {
		return el("p", { role: "alert" }, texts.noClient(provider));
	}
	const { redirect_url: redirect } = await call("GET", "/clients");
	return el("div", { role: "alert" }, el("p", {}, texts.noClientAdmin(provider)), registration(oauth, redirect), redirectURL(redirect),
		el("div", { class: "buttons" }, el("a", { class: "button", href: `#/client/${encodeURIComponent(oauth)}` }, texts.noClientEnter)));
}

// registration returns the steps by which an admin registers this server with a provider; oauth is
// its name, or its URL. redirect is the redirect URL; undefined: it is not known.
export function registration(oauth, redirect) {
	const { at, open, use, enter } = { ...texts.registration, ...texts.registrations[oauth] };
	const name = oauth === "other" ? texts.thatProvider : providerName(oauth);
	const place = at ? el("a", { href: at, target: "_blank", rel: "noreferrer" }, new URL(at).hostname) : name;
	return el("ol", {}, [open(place), use(redirect !== undefined), enter].map((step) => el("li", {}, step)));
}

// redirectURL returns the redirect URL to copy, if it is known.
export function redirectURL(redirect) {
	return redirect && copyable(redirect, texts.clientsRedirect);
}

// signInButton returns a button that begins to sign in, and a place below it for what prevents
// that. If now is true, it is pressed already.
export function signInButton(text, begin, now = false) {
	const wrong = el("div");
	const button = el("button", { type: "button", class: "primary", onclick: async () => {
		button.disabled = true;
		wrong.replaceChildren();
		try {
			await begin();
		} catch (problem) {
			wrong.replaceChildren(problem.code === "no_client" ? await noClient(problem) : el("p", { class: "wrong", role: "alert" }, messageOf(problem)));
		} finally {
			button.disabled = false;
		}
	} }, text);
	if (now) {
		button.click();
	}
	return el("div", { class: "action" }, el("div", { class: "buttons" }, button), wrong);
}

// messageOf returns the message of an error, or those of its fields.
function messageOf(problem) {
	return problem instanceof Problem && problem.fields?.length ? problem.fields.map(({ message }) => message).join(" ") : problem.message;
}
