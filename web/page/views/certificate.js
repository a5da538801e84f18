import { day } from "../age.js";
import { call } from "../api.js";
import { button, el } from "../dom.js";

const { texts } = self;

// certificates lets the user trust the certificate of a mail server in a form:
//   place   part of the form in which a certificate is shown
//   of      returns a login with the certificate that the user trusts at its host, if any
//   call    sends such a login
//   asking  returns the function send of the form; if that fails because a certificate is not
//           trusted, it is shown, with a button that trusts it and submits the form again
export function certificates() {
	const place = el("div");
	const trusted = new Map(); // fingerprints by host
	return {
		place,
		of: (login) => trusted.has(login.host) ? { ...login, certificate: trusted.get(login.host) } : login,
		async call(method, path, login) {
			try {
				return await call(method, path, login);
			} catch (problem) {
				problem.trust = () => trusted.set(login.host, problem.certificate.fingerprint);
				throw problem;
			}
		},
		asking: (send) => async (values) => {
			place.replaceChildren();
			try {
				await send(values);
			} catch (problem) {
				if (!problem.certificate) {
					throw problem;
				}
				place.replaceChildren(question(problem, () => {
					problem.trust();
					place.closest("form").requestSubmit();
				}));
				place.querySelector("h2").focus();
			}
		},
	};
}

// question shows a certificate, with a button that trusts it.
export function question({ message, certificate }, trust) {
	const { fingerprint, subject, names, valid_from: from, valid_until: until, issuer } = certificate;
	const rows = {
		fingerprint: fingerprintText(fingerprint), names: names.join(", "), subject, issuer: issuer === subject ? texts.selfSigned : issuer,
		valid: texts.validity(day(from), day(until)),
	};
	return el("section", { class: "card" }, el("h2", { tabindex: -1 }, texts.trustTitle),
		el("p", {}, texts.stateReason(message)),
		el("dl", {}, Object.entries(rows).filter(([, value]) => value !== "").map(([name, value]) => [el("dt", {}, texts.certificate[name]), el("dd", {}, value)])),
		el("p", {}, texts.trustHow), el("pre", {}, "openssl x509 -noout -fingerprint -sha256 -in cert.pem"),
		el("p", {}, texts.trustOnlyIf),
		el("div", { class: "buttons" }, button(texts.trust, trust)));
}

// fingerprintText returns a fingerprint that breaks between its pairs.
export function fingerprintText(fingerprint) {
	return el("code", {}, fingerprint.split(":").map((pair, i) => i > 0 ? [":", el("wbr"), pair] : pair));
}
