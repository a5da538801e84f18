import { call, whenUnauthorized } from "./api.js";
import { el, tell } from "./dom.js";
import { listen } from "./live.js";
import { heal, register, sweep } from "./ring.js";
import { go, session } from "./session.js";
import { activity, mail } from "./views/activity.js";
import { device } from "./views/device.js";
import { devices } from "./views/devices.js";
import { join, login, setup } from "./views/enter.js";
import { mailbox } from "./views/mailbox.js";
import { mailboxes } from "./views/mailboxes.js";
import { me } from "./views/me.js";
import { add } from "./views/add.js";
import { people } from "./views/people.js";
import { welcome } from "./views/welcome.js";

const { texts } = self;

// A view gives {title, node, on}: on are the kinds of changes at which it is to be drawn anew; a form has none, so that nothing is lost that is being typed.
// Elements with data-keep hold that up for as long as they are shown.
const views = { __proto__: null, "": mailboxes, setup, join, login, welcome, mailboxes, add, mailbox, devices, device, activity, mail, people, me };
const open = ["setup", "join", "login"]; // to anybody

const main = document.getElementById("main");
const nav = document.getElementById("nav");
let drawn = 0; // counts, so that a view that took long is not put over a later one
let at; // the address of the view that is shown
let shown = []; // the kinds of changes that concern the view that is shown
let stopListening;
let again; // the timer of a drawing anew that was held up

// held says that drawing anew would take something away: half of a click, what a button is about to say, what went wrong with it, or what is kept.
const held = () => main.querySelector(":active, button:disabled, .wrong:not(:empty), [data-keep]");

// draw shows the view of the address. Where that is shown and only drawn anew, focus and scrolling stay, and so does all of it while something holds it.
async function draw() {
	clearTimeout(again);
	const address = location.hash;
	const [name, ...rest] = address.replace(/^#\/?/, "").split("/");
	if (!session.user && !open.includes(name)) {
		sessionStorage.setItem("then", address);
		go("login");
		return;
	}
	const anew = address === at;
	const hold = () => {
		if (anew && held()) {
			again = setTimeout(draw, 500);
			return true;
		}
		return false;
	};
	if (hold()) {
		return;
	}
	const turn = ++drawn;
	let view;
	try {
		view = await (views[name] ?? missing)(...rest.map(decodeURIComponent));
	} catch (problem) {
		if (anew) {
			return; // what is shown is better than nothing, and is drawn again before long
		}
		view = problem.status === 404 ? missing() : { title: texts.offlineTitle, node: el("p", {}, problem.message), on: ["account"] };
	}
	if (turn !== drawn || hold()) {
		return;
	}
	at = address;
	shown = view.on ?? [];
	document.title = `${view.title} · idlepush`;
	const focused = anew && document.activeElement?.id;
	const title = el("h1", { tabindex: "-1" }, view.title);
	main.replaceChildren(title, ...[view.node].flat());
	menu(name);
	if (!anew) {
		scrollTo(0, 0);
		title.focus();
	} else if (focused) {
		document.getElementById(focused)?.focus();
	}
}

function missing() {
	return { title: texts.notFound, node: el("p", {}, el("a", { href: "#/" }, texts.nav.mailboxes)) };
}

function menu(name) {
	nav.hidden = !session.user || name === "welcome" || open.includes(name);
	const parts = { mailboxes: ["", "mailboxes", "mailbox", "add"], devices: ["devices", "device"], activity: ["activity", "mail"], people: ["people"], me: ["me"] };
	nav.replaceChildren(...Object.entries(parts).filter(([part]) => part !== "people" || session.user?.admin).map(([part, names]) =>
		el("a", { href: `#/${part}`, id: `nav-${part}`, "aria-current": names.includes(name) ? "page" : undefined }, texts.nav[part])));
}

// follow draws what is shown anew when it has changed. Where the server does not let the page listen, the session may have ended: then this is where it is noticed.
function follow() {
	stopListening?.();
	stopListening = listen((kinds) => {
		if (kinds.some((kind) => shown.includes(kind) || (kind === "all" && shown.length > 0))) {
			draw();
		}
	}, async () => {
		await call("GET", "/me").catch(() => {});
		if (session.user) {
			setTimeout(() => {
				if (session.user) {
					follow();
					draw();
				}
			}, 30_000);
		}
	});
}

// entered begins what a session has: changes as they happen, and a browser that goes on ringing. loggedIn: it has just begun.
function entered(user, loggedIn) {
	session.user = user;
	follow();
	if (window.isSecureContext && "serviceWorker" in navigator) {
		register().catch(() => {}); // it is asked for again where it is needed
		heal(loggedIn).then(sweep).catch((problem) => tell(problem.message));
	}
}

whenUnauthorized(() => {
	const had = session.user;
	session.user = undefined;
	stopListening?.();
	if (had) {
		draw();
	}
});

window.addEventListener("hashchange", draw);
window.addEventListener("idlepush-entered", ({ detail }) => entered(detail, true));
document.addEventListener("visibilitychange", () => {
	if (session.user && document.visibilityState === "visible") {
		heal(false).then(sweep).catch(() => {}); // at the next opening, then
	}
});
// When a mail server was last heard of is no change that is told.
setInterval(() => {
	if (shown.includes("account") && document.visibilityState === "visible") {
		draw();
	}
}, 30_000);
navigator.serviceWorker?.addEventListener("message", ({ data }) => {
	if (typeof data?.go === "string") {
		location.hash = data.go;
	}
});

try {
	entered(await call("GET", "/me"), false);
} catch (problem) {
	if (problem.status !== 401) {
		tell(problem.message);
	}
}
await draw();
