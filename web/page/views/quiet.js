import { call } from "../api.js";
import { button, el, field, form, tell, tick } from "../dom.js";
import { groupsOf, hoursOf, presets, slotsOf, whenOn } from "../quiet.js";
import { changeWishes, wishesOfDevice } from "../wishes.js";
import { timeMachine } from "./tried.js";
import { week } from "./week.js";

const { texts } = self;

const zoneHere = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

// quietHours returns the part of a device's view with its quiet hours, which can be tried on the
// mailboxes that notify it. isHere tells that this browser is the device.
export function quietHours(device, wishes, mailboxes, isHere) {
	const place = el("div", { id: "quiet" });
	const card = (...content) => el("section", { class: "card" }, el("h2", {}, texts.quietTitle), content);
	const save = async (quiet) => {
		const stored = await changeWishes(wishesOfDevice(device.id), () => ({ quiet }));
		tell(texts.saved);
		show(stored.quiet);
	};
	const show = (quiet) => {
		const hours = quiet?.hours ?? [];
		const on = hours.length > 0;
		const edit = () => {
			const edited = editor(on ? quiet : whenOn(zoneHere()), save, () => show(quiet), () => tried?.stale());
			const tried = mailboxes.length > 0 ? timeMachine(mailboxes, () => {
				const draft = edited.draft();
				return { wishes: { quiet: { [device.id]: draft } }, isChanged: meaning(draft) !== meaning(quiet) };
			}, device.id) : undefined;
			place.replaceChildren(card(edited), ...tried ? [tried] : []);
		};
		place.replaceChildren(card(el("p", {}, texts.quiet(groupsOf(hours))),
			on && about(quiet, isHere, save),
			el("div", { class: "buttons" }, button(on ? texts.quietChange : texts.quietOn, edit),
				on && button(texts.quietOff, () => save(undefined)))));
	};
	show(wishes.quiet);
	return place;
}

// meaning returns what quiet hours say, to be compared with that of others. Without hours they say
// nothing.
function meaning({ zone, hours, mode, people, attention } = { hours: [] }) {
	return JSON.stringify(hours.length > 0 && [zone, groupsOf(hours), mode, people, attention]);
}

// about says what quiet hours do, and asks about the time zone if the device has moved.
function about(quiet, isHere, save) {
	const through = [["people", texts.quietPeople], ["attention", texts.quietAttention]].filter(([name]) => quiet[name]).map(([, [text]]) => text);
	const here = zoneHere();
	return [
		el("p", { class: "soft" }, texts.quietDoes(quiet.mode, through), " ", texts.quietIn(quiet.zone)),
		isHere && quiet.zone !== here && el("div", { role: "status" }, el("p", { class: "state warn" }, texts.zoneMoved(quiet.zone, here)),
			el("div", { class: "buttons" }, button(texts.zoneTake(here), () => save({ ...quiet, zone: here }), { class: "primary" }))),
	].filter(Boolean);
}

// editor edits quiet hours, and calls changed after each change. The week is painted in slots;
// hours that nobody paints stay as they are, to the minute. The method draft returns the
// quiet hours as edited.
function editor(quiet, save, cancel, changed) {
	let { hours } = quiet;
	const words = el("p", { "aria-live": "polite" });
	const say = () => { words.textContent = texts.quiet(groupsOf(hours)); };
	const painter = week(slotsOf(hours), (slots) => {
		hours = hoursOf(slots);
		say();
		changed();
	});
	const choose = (preset) => () => {
		hours = preset ? hoursOf(slotsOf([...hours, ...presets[preset]])) : [];
		painter.set(slotsOf(hours));
		say();
		changed();
	};
	say();
	const zones = [...new Set([quiet.zone, zoneHere(), ...Intl.supportedValuesOf?.("timeZone") ?? []])];
	const draft = () => {
		const values = new FormData(f);
		return { zone: values.get("zone"), hours, mode: values.get("mode"), people: values.has("people"), attention: values.has("attention") };
	};
	const f = form(texts.save, () => save(draft()),
		el("div", { class: "buttons", role: "group", "aria-label": texts.quietGrid }, Object.entries(texts.quietPresets).map(([name, text]) => button(text, choose(presets[name] && name)))),
		el("p", { class: "hint" }, texts.quietHint), painter, words,
		el("fieldset", {}, el("legend", {}, texts.quietMode), Object.entries(texts.quietModes).map(([mode, [text, more]]) => tick("radio", "mode", mode, text, quiet.mode === mode, more))),
		el("fieldset", {}, el("legend", {}, texts.quietThrough), tick("checkbox", "people", "yes", texts.quietPeople[0], quiet.people, texts.quietPeople[1]),
			tick("checkbox", "attention", "yes", texts.quietAttention[0], quiet.attention, texts.quietAttention[1])),
		field("zone", texts.quietZone, { options: zones.map((zone) => [zone, zone]), value: quiet.zone }));
	f.querySelector(".buttons:last-child").append(button(texts.cancel, cancel));
	f.addEventListener("change", changed);
	return Object.assign(f, { draft });
}

// foldersHere returns the part of a device's view with the folders that notify it, or undefined. It
// has the mailboxes with several folders, and those of which the device had to choose some.
export function foldersHere(device, wishes, mailboxes) {
	const chosen = (account) => wishes.folders?.[account.id];
	const several = mailboxes.filter((account) => (account.folders?.length > 1 || chosen(account)) && (device.accounts?.includes(account.id) ?? true));
	if (several.length === 0) {
		return undefined;
	}
	const name = ({ id }) => `folders ${id}`;
	return el("section", { class: "card", id: "folders" }, form(texts.save, async (values) => {
		await changeWishes(wishesOfDevice(device.id), ({ folders }) => ({ folders: several.reduce((all, account) => {
			const wanted = values.getAll(name(account));
			const { [account.id]: _, ...others } = all;
			return wanted.length === account.folders.length ? others : { ...others, [account.id]: wanted };
		}, folders ?? {}) }));
		tell(texts.saved);
	}, el("h2", {}, texts.foldersHere), el("p", { class: "hint" }, texts.foldersHereHint), several.map((account) =>
		el("fieldset", {}, el("legend", {}, account.email), account.folders.map((folder) =>
			tick("checkbox", name(account), folder, folder, chosen(account)?.includes(folder) ?? true))))));
}
