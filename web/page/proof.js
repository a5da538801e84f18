import { call } from "./api.js";
import { button, el, field, form } from "./dom.js";

const { texts } = self;

// proved calls send. If the server wants the password first, it asks for that and calls send again.
// It resolves to the answer, or to undefined if the person cancels.
export async function proved(send) {
	try {
		return await send();
	} catch (problem) {
		if (problem.code !== "proof_needed") {
			throw problem;
		}
	}
	return await asked() ? send() : undefined;
}

// asked asks for the password, and resolves to whether the server has accepted it.
function asked() {
	return new Promise((resolve) => {
		let given = false;
		const dialog = el("dialog", { "aria-label": texts.passwordAgain, onclose: () => { resolve(given); dialog.remove(); } },
			el("p", {}, texts.passwordAgain),
			form(texts.passwordGive, async (values) => {
				await call("POST", "/proof", { password: values.get("password") });
				given = true;
				dialog.close();
			}, field("password", texts.currentPassword, { type: "password", autocomplete: "current-password" })),
			el("div", { class: "buttons" }, button(texts.cancel, () => dialog.close())));
		document.body.append(dialog);
		dialog.showModal();
	});
}
