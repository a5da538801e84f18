import { call, whenUnauthorized } from "./api.js";
import { el, leaveView, tell } from "./dom.js";
import { listen } from "./live.js";
import { closeStale, register, repairDevice } from "./ring.js";
import { go, session } from "./session.js";
import { activity } from "./views/activity.js";
import { device } from "./views/device.js";
import { devices } from "./views/devices.js";
import { join, login, password, setup } from "./views/enter.js";
import { attention, mailbox } from "./views/mailbox.js";
import { mail, openMail } from "./views/mail.js";
import { mailboxes } from "./views/mailboxes.js";
import { me } from "./views/me.js";
import { add } from "./views/add.js";
import { client } from "./views/clients.js";
import { people } from "./views/people.js";
import { rules } from "./views/rules.js";
import { signIn } from "./views/signin.js";
import { welcome } from "./views/welcome.js";

const { receipts, texts } = self;

// A view returns {title, node, on, address, part}. on lists the kinds of changes that redraw it; it
// is empty for a form, so that nothing typed is lost. Elements with data-keep postpone redrawing as
// long as they are shown. address, if there is one, replaces that of the view. part is the id of
// the part that the view begins with, or undefined.
const views = { __proto__: null, "": mailboxes, setup, join, password, login, welcome, mailboxes, add, mailbox, rules, attention, devices, device, activity, mail, open: openMail, people, client, me, "sign-in": signIn };
const loginless = ["setup", "join", "password", "login"]; // need no login

const main = document.getElementById("main");
const nav = document.getElementById("nav");
document.documentElement.lang = texts.language;
let drawn = 0; // counts views, so that a slow view does not replace a later one
let at; // the address of the view
let next; // the address of the view that is drawn, or is to be
let started = false; // it is known who is logged in
let shown = []; // the kinds of changes that redraw the view
let stopListening;
let again; // timer of a postponed redraw

// busy reports whether redrawing would lose something: a click in progress, an error message, or a
// kept element.
const busy = () => main.querySelector(":active, button:disabled, .wrong:not(:empty), [data-keep]");

// draw shows the view of the address. A redraw keeps focus and scroll position, and is postponed
// while the page is busy.
async function draw() {
	clearTimeout(again);
	if (!started) {
		return;
	}
	const address = location.hash;
	if (address !== next) {
		leaveView(session.going || next === undefined);
		session.going = false;
		next = address;
	}
	const [name, ...rest] = address.replace(/^#\/?/, "").split("/");
	if (!session.user && !loginless.includes(name)) {
		sessionStorage.setItem("then", address);
		go("login");
		return;
	}
	const redraw = address === at;
	const postpone = () => {
		if (redraw && busy()) {
			again = setTimeout(draw, 500);
			return true;
		}
		return false;
	};
	if (postpone()) {
		return;
	}
	const turn = ++drawn;
	let view;
	try {
		view = await (views[name] ?? missing)(...rest.map(decodeURIComponent));
	} catch (problem) {
		if (redraw) {
			return; // keep the old view; it is redrawn soon
		}
		view = problem.status === 404 ? missing() : problem.code === "own_password_first" ? await me().catch(failed) : failed(problem);
	}
	if (turn !== drawn || postpone()) {
		return;
	}
	if (view.address) {
		history.replaceState(undefined, "", view.address);
	}
	at = next = view.address ?? address;
	shown = view.on ?? [];
	document.title = `${view.title} · idlepush`;
	const focused = redraw && document.activeElement?.id;
	const title = el("h1", { tabindex: "-1" }, view.title);
	main.replaceChildren(title, ...[view.node].flat(Infinity));
	menu(name);
	if (!redraw) {
		scrollTo(0, 0);
		title.focus();
		view.part && begin(document.getElementById(view.part));
	} else if (focused) {
		document.getElementById(focused)?.focus();
	}
}

// begin unfolds a part of the view, and goes there. It may be gone.
function begin(part) {
	const heading = part?.querySelector("summary, h2");
	if (heading) {
		part.open = true;
		heading.tabIndex = heading.localName === "summary" ? 0 : -1;
		heading.focus({ preventScroll: true });
		part.scrollIntoView();
	}
}

function failed(problem) {
	return { title: texts.offlineTitle, node: el("p", {}, problem.message), on: ["account"] };
}

function missing() {
	return { title: texts.notFound, node: el("p", {}, el("a", { href: "#/" }, texts.nav.mailboxes)) };
}

function menu(name) {
	nav.hidden = !session.user || name === "welcome" || loginless.includes(name);
	const parts = { mailboxes: ["", "mailboxes", "mailbox", "rules", "attention", "add", "sign-in"], devices: ["devices", "device"], activity: ["activity", "mail", "open"], people: ["people", "client"], me: ["me"] };
	nav.replaceChildren(...Object.entries(parts).filter(([part]) => part !== "people" || session.user?.admin).map(([part, names]) =>
		el("a", { href: `#/${part}`, id: `nav-${part}`, "aria-current": names.includes(name) ? "page" : undefined }, texts.nav[part])));
}

// follow redraws the view when it has changed. If the server refuses the stream, the session may
// have ended, which the request to /me finds out.
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

// startSession listens for changes and repairs the subscription of this browser. loggedIn is true
// if the user has just logged in.
function startSession(user, loggedIn) {
	session.user = user;
	follow();
	if (window.isSecureContext && "serviceWorker" in navigator) {
		register().catch(() => {}); // ringing tries again
		repairDevice(loggedIn).then(closeStale).catch((problem) => tell(problem.message));
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

// report sends what could not be reported before.
const report = () => receipts.send().catch(() => {}); // the next push tries again

window.addEventListener("online", report);
window.addEventListener("hashchange", draw);
window.addEventListener("idlepush-entered", ({ detail }) => startSession(detail, true));
document.addEventListener("visibilitychange", () => {
	if (session.user && document.visibilityState === "visible") {
		repairDevice(false).then(closeStale).catch(() => {}); // tried again at the next change
	}
});
// There is no event for the time of the last check of a mail server.
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

// start finds out who is logged in. Without an answer it says so and tries again: a log-in form
// would mislead people who are logged in.
async function start() {
	for (let wait = 2000; ; wait = Math.min(2 * wait, 30_000)) {
		try {
			startSession(await call("GET", "/me"), false);
			return;
		} catch (problem) {
			if (problem.status === 401) {
				return;
			}
			document.title = `${texts.offlineTitle} · idlepush`;
			await new Promise((resolve) => {
				setTimeout(resolve, wait);
				window.addEventListener("online", resolve, { once: true });
				main.replaceChildren(el("h1", {}, texts.offlineTitle), el("p", { role: "alert" }, problem.message),
					el("div", { class: "buttons" }, el("button", { type: "button", class: "primary", onclick: resolve }, texts.tryAgain)));
			});
		}
	}
}

report();
await start();
started = true;
await draw();
