import { all, call } from "../api.js";
import { button, confirmed, el, field, form, tell, tick } from "../dom.js";
import { reason } from "../reason.js";
import { repairDevice, stopRinging, thisDevice } from "../ring.js";
import { go } from "../session.js";
import { wishesOfDevice } from "../wishes.js";
import { heartbeatForm } from "./heartbeat.js";
import { foldersHere, quietHours } from "./quiet.js";
import { deviceChain, deviceState } from "./state.js";

const { texts } = self;

// device shows a device, and begins with a part of the view if one is named.
export async function device(id, part) {
	const path = `/devices/${encodeURIComponent(id)}`;
	const [it, wishes, mailboxes, here] = await Promise.all([call("GET", path), call("GET", wishesOfDevice(id)), all("/accounts"), thisDevice()]);
	const isHere = here?.id === it.id;
	const outcome = el("p", { role: "status" });
	const node = [
		el("section", { class: "card" }, deviceState(it), deviceChain(it), el("p", { class: "soft" }, it.encrypted ? texts.encrypted : texts.notEncrypted), outcome,
			el("div", { class: "buttons" }, button(texts.test, async () => {
				const tested = await call("POST", `${path}/test`);
				outcome.textContent = tested.result === "delivered" ? texts.tested.delivered : texts.tested.other(reason(tested, tested.reason));
			}, { class: "primary" }))),
		quietHours(it, wishes, mailboxes.filter(({ id }) => it.accounts?.includes(id) ?? true), isHere),
		settings(it, path, mailboxes, isHere),
		foldersHere(it, wishes, mailboxes),
		heartbeatForm(it, wishes),
		preview(path),
		el("div", { class: "buttons" }, button(isHere ? texts.removeHere : texts.removeDevice, async () => {
			if (!await confirmed(isHere ? texts.removeHere + "?" : texts.removeDeviceSure(it.name), texts.remove, texts.cancel)) {
				return;
			}
			if (isHere) {
				await stopRinging();
			}
			await call("DELETE", path);
			go("devices");
		}, { class: "danger" })),
	];
	return { title: it.name, node: node.filter(Boolean), on: [], part };
}

function settings(it, path, mailboxes, isHere) {
	const some = el("fieldset", { hidden: it.accounts === undefined, "aria-label": texts.someMailboxes },
		mailboxes.map(({ id, email }) => tick("checkbox", "accounts", id, email, it.accounts?.includes(id) ?? true)));
	const f = form(texts.save, async (values) => {
		await call("PATCH", path, { name: values.get("name"), content: values.get("content"), accounts: values.get("which") === "all" ? null : values.getAll("accounts") });
		if (isHere) {
			await repairDevice(); // stores the new settings
		}
		tell(texts.saved);
	},
	field("name", texts.deviceName, { value: it.name, maxlength: 100 }),
	el("fieldset", {}, el("legend", {}, texts.content), Object.entries(texts.contents).map(([level, [text, more]]) => tick("radio", "content", level, text, it.content === level, more))),
	el("fieldset", {}, el("legend", {}, texts.whichMailboxes), tick("radio", "which", "all", texts.allMailboxes, it.accounts === undefined), tick("radio", "which", "some", texts.someMailboxes, it.accounts !== undefined)),
	some);
	f.addEventListener("change", () => { some.hidden = new FormData(f).get("which") !== "some"; });
	return el("section", { class: "card" }, f);
}

// preview shows the request that the push service would receive for a sample mail, at the level of
// the device.
function preview(path) {
	const place = el("div");
	return el("section", { class: "card" }, button(texts.previewButton, async () => {
		const seen = await call("GET", `${path}/preview`);
		place.replaceChildren(el("p", {}, texts.previewText(seen.service)), el("p", {}, texts.previewReads), el("ul", {}, seen.readable.map((text) => el("li", {}, text))),
			el("details", {}, el("summary", {}, texts.previewBytes),
				el("pre", {}, [`${seen.method} ${seen.url}`, ...seen.headers.map(({ name, value }) => `${name}: ${value}`), "", seen.body].join("\n"))));
	}), place);
}
