import { call } from "./api.js";

const { texts } = self;

const isAddress = (host) => /^[\d.]+$|^\[/.test(host);

// passkeysWork is whether this browser can have passkeys for this page. The server knows whether it
// is the right address.
export const passkeysWork = window.isSecureContext && Boolean(window.PublicKeyCredential) && !isAddress(location.hostname);

// Browsers that are a few years old have no functions for the JSON form of Web Authentication.
const decoded = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const encoded = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");

// ask calls the browser, and turns its refusal into a sentence. A refusal does not say whether the
// user has canceled, or whether there is no passkey.
async function ask(browser, refused) {
	try {
		return await browser();
	} catch (problem) {
		throw new Error({ InvalidStateError: texts.passkeyThere, NotAllowedError: refused }[problem.name] ?? texts.passkeyFailed(problem.message), { cause: problem });
	}
}

function json(made, ...names) {
	const response = Object.fromEntries(names.filter((name) => made.response[name]).map((name) => [name, encoded(made.response[name])]));
	return { id: made.id, rawId: made.id, type: made.type, clientExtensionResults: {}, response };
}

// usePasskey lets the user choose a passkey, and resolves to its use for the API. With more it is
// given to the browser, such as a signal that ends the question.
export async function usePasskey(more = {}) {
	const { options } = await call("POST", "/passkeys/challenge");
	const publicKey = { ...options, challenge: decoded(options.challenge) };
	const used = await ask(() => navigator.credentials.get({ ...more, publicKey }), texts.passkeyUnused);
	return json(used, "clientDataJSON", "authenticatorData", "signature", "userHandle");
}

// makePasskey makes a passkey by the options of the API, and resolves to it for the API.
export async function makePasskey({ options }) {
	const publicKey = { ...options, challenge: decoded(options.challenge), user: { ...options.user, id: decoded(options.user.id) },
		excludeCredentials: (options.excludeCredentials ?? []).map((other) => ({ ...other, id: decoded(other.id) })) };
	const made = await ask(() => navigator.credentials.create({ publicKey }), texts.passkeyNotMade);
	return json(made, "clientDataJSON", "attestationObject");
}

// offerPasskeys lets the browser offer passkeys beside passwords, and calls use with the one that
// the user takes. The offer ends with the view, and with the function that it returns.
export function offerPasskeys(use) {
	const ended = new AbortController();
	const end = () => ended.abort();
	window.addEventListener("hashchange", end, { once: true });
	const offer = async () => {
		if (passkeysWork && await PublicKeyCredential.isConditionalMediationAvailable?.() && !ended.signal.aborted) {
			await use(await usePasskey({ mediation: "conditional", signal: ended.signal }));
		}
	};
	offer().catch(() => {}); // the button shows the error
	return end;
}
