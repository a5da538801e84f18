import { call } from "../api.js";
import { button, el, field, form, tell } from "../dom.js";
import { proved } from "../proof.js";

const { texts } = self;

// clients lists the mail providers with the OAuth clients of this server, for an admin to set.
export async function clients() {
	const { items, redirect_url: redirect } = await call("GET", "/clients");
	return el("section", { class: "card" }, el("h2", {}, texts.clients), el("p", {}, texts.clientsText),
		redirect ? el("p", { class: "copy" }, texts.clientsRedirect, el("code", {}, redirect), button(texts.copy, async () => {
			await navigator.clipboard.writeText(redirect);
			tell(texts.copied);
		}, { "aria-label": `${texts.copy}: ${redirect}` })) : el("p", {}, texts.clientsNoURL),
		items.map(client));
}

function client({ provider, title, issuer, client_id: id, has_secret: secret, setting }) {
	const name = title || texts.otherProvider;
	const state = el("span", { class: "soft" }, setting ? texts.clientBySetting : id ? texts.clientSet : "");
	const summary = el("summary", {}, name, " ", state);
	if (setting) {
		return el("details", {}, summary, el("p", {}, texts.clientFixed));
	}
	return el("details", {}, summary, form(texts.save, async (values) => {
		const given = values.get("client_secret").trim();
		const body = { client_id: values.get("client_id").trim(), ...(provider === "other" ? { issuer: values.get("issuer").trim() } : {}), ...(given ? { client_secret: given } : {}) };
		const saved = await proved(() => call("PATCH", `/clients/${provider}`, body));
		if (saved) {
			state.textContent = saved.client_id ? texts.clientSet : "";
			tell(texts.saved);
		}
	}, provider === "other" ? field("issuer", texts.issuer, { value: issuer, inputmode: "url", autocomplete: "off" }, texts.issuerHint) : [],
	field("client_id", texts.clientID, { value: id, autocomplete: "off" }, texts.clientIDHint),
	field("client_secret", texts.clientSecret, { type: "password", autocomplete: "off" }, secret ? texts.clientSecretKept : texts.clientSecretHint)));
}
