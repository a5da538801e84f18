import { call } from "../api.js";
import { button, el, field, form, tell, tick } from "../dom.js";
import { groupsOf, hoursOf, presets, slotsOf, whenOn } from "../quiet.js";
import { changeWishes, wishesOfDevice } from "../wishes.js";
import { week } from "./week.js";

const { texts } = self;

const zoneHere = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

// quietHours returns the part of a device's view with its quiet hours. isHere tells that this
// browser is the device.
export function quietHours(device, wishes, isHere) {
	const place = el("section", { class: "card", id: "quiet" });
	const save = async (quiet) => {
		const stored = await changeWishes(wishesOfDevice(device.id), () => ({ quiet }));
		tell(texts.saved);
		show(stored.quiet);
	};
	const show = (quiet) => {
		const hours = quiet?.hours ?? [];
		const on = hours.length > 0;
		const edit = () => place.replaceChildren(heading(), editor(on ? quiet : whenOn(zoneHere()), save, () => show(quiet)));
		place.replaceChildren(heading(), el("p", {}, texts.quiet(groupsOf(hours))),
			...on ? about(quiet, isHere, save) : [],
			el("div", { class: "buttons" }, button(on ? texts.quietChange : texts.quietOn, edit),
				on && button(texts.quietOff, () => save(undefined))));
	};
	show(wishes.quiet);
	return place;
}

const heading = () => el("h2", {}, texts.quietTitle);

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

// editor edits quiet hours. The week is painted in slots; hours that nobody paints stay as they
// are, to the minute.
function editor(quiet, save, cancel) {
	let { hours } = quiet;
	const words = el("p", { "aria-live": "polite" });
	const say = () => { words.textContent = texts.quiet(groupsOf(hours)); };
	const painter = week(slotsOf(hours), (slots) => {
		hours = hoursOf(slots);
		say();
	});
	const choose = (preset) => () => {
		hours = preset ? hoursOf(slotsOf([...hours, ...presets[preset]])) : [];
		painter.set(slotsOf(hours));
		say();
	};
	say();
	const zones = [...new Set([quiet.zone, zoneHere(), ...Intl.supportedValuesOf?.("timeZone") ?? []])];
	const f = form(texts.save, (values) => save({ zone: values.get("zone"), hours, mode: values.get("mode"), people: values.has("people"), attention: values.has("attention") }),
		el("div", { class: "buttons", role: "group", "aria-label": texts.quietGrid }, Object.entries(texts.quietPresets).map(([name, text]) => button(text, choose(presets[name] && name)))),
		el("p", { class: "hint" }, texts.quietHint), painter, words,
		el("fieldset", {}, el("legend", {}, texts.quietMode), Object.entries(texts.quietModes).map(([mode, [text, more]]) => tick("radio", "mode", mode, text, quiet.mode === mode, more))),
		el("fieldset", {}, el("legend", {}, texts.quietThrough), tick("checkbox", "people", "yes", texts.quietPeople[0], quiet.people, texts.quietPeople[1]),
			tick("checkbox", "attention", "yes", texts.quietAttention[0], quiet.attention, texts.quietAttention[1])),
		field("zone", texts.quietZone, { options: zones.map((zone) => [zone, zone]), value: quiet.zone }));
	f.querySelector(".buttons:last-child").append(button(texts.cancel, cancel));
	return f;
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
