import { call } from "../api.js";
import { el, field, form, tell } from "../dom.js";
import { proved } from "../proof.js";
import { providerName, redirectURL, registration, resumeSignIn } from "../signin.js";

const { texts } = self;

// clients lists the mail providers with the OAuth clients of this server, for an admin to set.
export async function clients() {
	const { items, redirect_url: redirect } = await call("GET", "/clients");
	return el("section", { class: "card" }, el("h2", {}, texts.clients), el("p", {}, texts.clientsText), redirectURL(redirect) ?? el("p", {}, texts.clientsNoURL),
		items.map((item) => {
			const state = el("span", { class: "soft" }, stateOf(item));
			return el("details", {}, el("summary", {}, item.title || texts.otherProvider, " ", state), change(item, redirect, state));
		}));
}

// client shows how an admin registers this server with a provider, and goes on with the sign-in
// that wanted that. oauth is the name of the provider, or its URL.
export async function client(oauth) {
	const { items, redirect_url: redirect } = await call("GET", "/clients");
	const named = items.find(({ provider }) => provider === oauth);
	const other = items.find(({ provider }) => provider === "other");
	// There is one client of another provider: its id and secret are not for this one.
	const replaced = !named && other.issuer && other.issuer !== oauth && other.issuer;
	const item = named ?? (replaced && !other.setting ? { provider: "other", issuer: oauth } : { ...other, issuer: oauth });
	return { title: texts.registerAt(providerName(oauth)),
		node: [redirectURL(redirect) ?? el("p", {}, texts.clientsNoURL), replaced ? el("p", {}, texts.clientReplaces(replaced)) : [], change(item, redirect)].flat(2), on: [] };
}

function stateOf({ setting, client_id: id }) {
	return setting ? texts.clientBySetting : id ? texts.clientSet : "";
}

// change returns the steps of a registration, and a form for the client that they make. state is
// the element that says whether there is one.
function change({ provider, issuer, client_id: id, has_secret: secret, needs_secret: needed, setting }, redirect, state) {
	if (setting) {
		return el("p", {}, texts.clientFixed);
	}
	const other = provider === "other";
	return [registration(provider, redirect), form(texts.save, async (values) => {
		const given = values.get("client_secret").trim();
		const body = { client_id: values.get("client_id").trim(), ...(other ? { issuer: values.get("issuer").trim() } : {}), ...(given ? { client_secret: given } : {}) };
		const saved = await proved(() => call("PATCH", `/clients/${provider}`, body));
		if (!saved) {
			return;
		}
		state?.replaceChildren(stateOf(saved));
		if (!saved.client_id || !await resumeSignIn(other ? saved.issuer : provider)) {
			tell(texts.saved);
		}
	}, other ? field("issuer", texts.issuer, { value: issuer, inputmode: "url", autocomplete: "off" }, texts.issuerHint) : [],
	field("client_id", texts.clientID, { value: id, autocomplete: "off" }, id ? texts.clientIDHint : ""),
	field("client_secret", texts.clientSecret, { type: "password", autocomplete: "off" }, secret ? texts.clientSecretKept : needed ? "" : texts.clientSecretHint))];
}
