// ends are how long a mute may last. Each returns when it ends, as local time, or undefined: never.
export const ends = {
	hour: (now) => new Date(now.getTime() + 3_600_000),
	morning: (now) => morningAfter(now, () => true),
	monday: (now) => morningAfter(now, (day) => day.getDay() === 1),
	ever: () => undefined,
};

// morning is the hour at which a morning begins.
const morning = 7;

function morningAfter(now, isWanted) {
	const day = new Date(now);
	day.setHours(morning, 0, 0, 0);
	while (day <= now || !isWanted(day)) {
		day.setDate(day.getDate() + 1);
	}
	return day;
}
