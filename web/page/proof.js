import { call } from "./api.js";
import { button, el, field, form } from "./dom.js";
import { passkeysWork, usePasskey } from "./passkey.js";

const { texts } = self;

// proved calls send. If the server wants a proof first, it asks the question and calls send again.
// It resolves to the answer, or to undefined if the person cancels.
export async function proved(send, question = texts.passwordAgain) {
	try {
		return await send();
	} catch (problem) {
		if (problem.code !== "proof_needed") {
			throw problem;
		}
	}
	return await withProof(question, async (proof) => {
		await call("POST", "/proof", proof);
		return true;
	}) && send();
}

// withProof asks for the password or a passkey, and calls send with it, as {password} or {passkey},
// until the server accepts it. It resolves to the answer, or to undefined if the person cancels.
export async function withProof(question, send) {
	const { passkeys, only_passkeys: only } = await call("GET", "/me");
	const byPasskey = passkeys > 0 && passkeysWork;
	return new Promise((resolve) => {
		let answer;
		const give = (proof) => async (values) => {
			answer = await send(await proof(values));
			dialog.close();
		};
		const dialog = el("dialog", { "aria-label": question, onclose: () => { resolve(answer); dialog.remove(); } },
			el("p", {}, question),
			byPasskey && form(texts.passkeyUse, give(async () => ({ passkey: await usePasskey() }))),
			!only && form(texts.passwordGive, give((values) => ({ password: values.get("password") })),
				field("password", texts.currentPassword, { type: "password", autocomplete: "current-password" })),
			only && !byPasskey && el("p", {}, texts.passkeysElsewhere),
			el("div", { class: "buttons" }, button(texts.cancel, () => dialog.close())));
		document.body.append(dialog);
		dialog.showModal();
	});
}
