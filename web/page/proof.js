import { button, el, field, form } from "./dom.js";

const { texts } = self;

// proved calls send with the fields that prove who asks: none, or the password if the server wants
// it. It resolves to the answer, or to undefined if the person cancels.
export async function proved(send) {
	try {
		return await send({});
	} catch (problem) {
		if (problem.code !== "password_needed") {
			throw problem;
		}
	}
	return new Promise((resolve) => {
		let answer;
		const dialog = el("dialog", { "aria-label": texts.passwordAgain, onclose: () => { resolve(answer); dialog.remove(); } },
			el("p", {}, texts.passwordAgain),
			form(texts.passwordGive, async (values) => {
				answer = await send({ password: values.get("password") });
				dialog.close();
			}, field("password", texts.currentPassword, { type: "password", autocomplete: "current-password" })),
			el("div", { class: "buttons" }, button(texts.cancel, () => dialog.close())));
		document.body.append(dialog);
		dialog.showModal();
	});
}
