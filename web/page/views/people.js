import { clock } from "../age.js";
import { all, call } from "../api.js";
import { button, confirmed, el, form, tick } from "../dom.js";
import { proved } from "../proof.js";
import { reason } from "../reason.js";
import { session } from "../session.js";
import { clients } from "./clients.js";
import { invitation } from "./invitation.js";

const { texts } = self;

export async function people() {
	const [users, invites, advice, providers] = await Promise.all([all("/users"), all("/invites"), call("GET", "/advice"), clients()]);
	const open = invites.filter((invite) => invite.for !== "device");
	const made = el("div", { "aria-live": "polite" });
	return { title: texts.peopleTitle, node: [
		advice.items.map((hint) => el("p", { class: "card state warn" }, reason(hint, hint.reason))),
		el("ul", { class: "plain" }, users.map((user) => el("li", { class: "card" }, person(user, users)))),
		el("section", { class: "card" }, el("h2", {}, texts.invite), made, form(texts.inviteButton, async (values) => {
			const invite = await proved(() => call("POST", "/invites", { for: "person", admin: values.has("admin") }));
			if (invite) {
				made.replaceChildren(el("p", {}, texts.inviteText), invitation(invite));
			}
		}, tick("checkbox", "admin", "yes", texts.inviteAdmin, false))),
		open.length > 0 && el("section", { class: "card" }, el("h2", {}, texts.openInvites), el("ul", { class: "plain" }, open.map((invite) =>
			openInvite(invite, users)))),
		providers,
	].flat().filter(Boolean), on: ["user"] };
}

function openInvite(invite, users) {
	const name = users.find(({ id }) => id === invite.user)?.name;
	const text = name === undefined ? texts.inviteLine(clock(invite.expires)) : texts.passwordLine(name, clock(invite.expires));
	const line = el("li", { class: "row" }, text, button(texts.withdraw, async () => {
		await call("DELETE", `/invites/${invite.id}`);
		line.remove();
	}));
	return line;
}

function person(user, users) {
	const path = `/users/${user.id}`;
	const name = user.damaged ? texts.damagedPerson : user.name;
	const sharedWith = users.filter(({ id }) => user.mailboxes.shared_with.includes(id)).map(({ name }) => name);
	const self = user.id === session.user.id;
	const link = el("div", { "aria-live": "polite" });
	return [
		el("div", { class: "row" }, el("h2", {}, name, self && ` (${texts.you})`), !user.damaged && el("span", { class: "soft" }, user.admin ? texts.admin : texts.member)),
		el("p", { class: "soft" }, texts.personHas(user.mailboxes.total, user.devices.total)),
		user.mailboxes.attention + user.devices.suspect > 0 && el("p", { class: "state warn" }, texts.personNeeds),
		user.damaged && el("p", { class: "state bad" }, texts.damagedPersonText),
		!self && link,
		!self && el("div", { class: "buttons" },
			!user.damaged && button(texts.newPasswordFor, async () => {
				const invite = await proved(() => call("POST", "/invites", { for: "password", user: user.id }));
				if (invite) {
					link.replaceChildren(el("p", {}, texts.newPasswordText(user.name)), invitation(invite));
				}
			}, { "aria-label": `${texts.newPasswordFor}: ${user.name}` }),
			!user.damaged && button(user.admin ? texts.makeMember : texts.makeAdmin, () => proved(() => call("PATCH", path, { admin: !user.admin })), { id: `role-${user.id}` }),
			button(texts.removePerson, async () => {
				if (await confirmed(texts.removePersonSure(name, user.mailboxes.shared, sharedWith), texts.removePerson, texts.cancel)) {
					await call("DELETE", path);
				}
			}, { class: "danger" })),
	];
}
