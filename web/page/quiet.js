// Quiet hours of a week, which begins on Monday: as the API has them, {days, from, to}; as the
// slots that a person paints; and as the groups that one can say. Nothing here knows the document.

// slotMinutes is how long a slot is, and slotsOfDay how many a day has.
export const slotMinutes = 30;
export const slotsOfDay = 48;

const dayMinutes = 24 * 60;
const weekMinutes = 7 * dayMinutes;
const days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

const every = (from, to, on = days) => [{ days: on, from, to }];

// presets are quiet hours that one can begin with.
export const presets = { nights: every("22:00", "07:00"), weekends: every("00:00", "00:00", ["sat", "sun"]) };

// whenOn are the quiet hours of a device on which somebody switches them on.
export const whenOn = (zone) => ({ zone, hours: presets.nights, mode: "hold", people: true, attention: true });

function minutesOf(time) {
	const [hours, minutes] = time.split(":").map(Number);
	return hours * 60 + minutes;
}

const timeOf = (minutes) => [Math.floor(minutes / 60) % 24, minutes % 60].map((n) => String(n).padStart(2, "0")).join(":");

// runs returns the longest runs of true in a circle, as [start, length], in the order of their
// starts.
function runs(circle) {
	if (circle.every(Boolean)) {
		return [[0, circle.length]];
	}
	const found = [];
	for (let start = 0; start < circle.length; start++) {
		if (circle[start] && !circle.at(start - 1)) {
			let length = 1;
			while (circle[(start + length) % circle.length]) {
				length++;
			}
			found.push([start, length]);
		}
	}
	return found;
}

// quietMinutes returns for each minute of the week whether it is quiet.
function quietMinutes(hours) {
	const quiet = Array(weekMinutes).fill(false);
	for (const { days: on, from, to } of hours) {
		const length = (minutesOf(to) - minutesOf(from) + dayMinutes) % dayMinutes || dayMinutes;
		for (const day of on) {
			const start = days.indexOf(day) * dayMinutes + minutesOf(from);
			for (let minute = start; minute < start + length; minute++) {
				quiet[minute % weekMinutes] = true;
			}
		}
	}
	return quiet;
}

// slotsOf returns for each slot of the week whether any of it is quiet.
export function slotsOf(hours) {
	const quiet = quietMinutes(hours);
	return Array.from({ length: 7 * slotsOfDay }, (_, slot) => quiet.slice(slot * slotMinutes, (slot + 1) * slotMinutes).some(Boolean));
}

// hoursOf returns slots as the API has them, where none are longer than a day.
export function hoursOf(slots) {
	const found = new Map();
	for (let [start, length] of runs(slots)) {
		while (length > 0) {
			const at = start % slotsOfDay;
			const part = length <= slotsOfDay ? length : slotsOfDay - at;
			const [from, to] = [at, at + part].map((slot) => timeOf(slot * slotMinutes));
			const key = `${from} ${to}`;
			found.set(key, [...found.get(key) ?? [], Math.floor(start / slotsOfDay) % 7]);
			[start, length] = [start + part, length - part];
		}
	}
	return [...found].map(([key, on]) => {
		const [from, to] = key.split(" ");
		return { days: on.sort().map((day) => days[day]), from, to };
	});
}

// groupsOf returns the quiet times that begin at the same time of day and are equally long, as
// {days, from, length}: days from 0, Monday, and minutes. Times that meet are one.
export function groupsOf(hours) {
	const found = new Map();
	for (const [start, length] of runs(quietMinutes(hours))) {
		const [day, from] = [Math.floor(start / dayMinutes), start % dayMinutes];
		const group = found.get(`${from} ${length}`) ?? { days: [], from, length };
		group.days.push(day);
		found.set(`${from} ${length}`, group);
	}
	return [...found.values()];
}

// rectangle returns the slots with all those set to value that lie between two of them, by day and
// by time of day.
export function rectangle(slots, one, other, value) {
	const between = (of) => {
		const [low, high] = [of(one), of(other)].sort((a, b) => a - b);
		return (slot) => low <= of(slot) && of(slot) <= high;
	};
	const [inDays, inTimes] = [between((slot) => Math.floor(slot / slotsOfDay)), between((slot) => slot % slotsOfDay)];
	return slots.map((old, slot) => inDays(slot) && inTimes(slot) ? value : old);
}
