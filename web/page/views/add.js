import { call } from "../api.js";
import { el, field, form, tell, tick } from "../dom.js";
import { reason } from "../reason.js";
import { go } from "../session.js";
import { beginSignIn, providerName, signInButton } from "../signin.js";
import { certificates } from "./certificate.js";

const { texts } = self;

// add asks for a mailbox. If id is that of a notification about the end of a share, only the
// password of that mailbox is missing.
export async function add(id) {
	const { code, params } = id ? await call("GET", `/notifications/${encodeURIComponent(id)}`) : {};
	const known = code === "share_ended" ? params : undefined;
	return { title: texts.addMailbox, node: [known && el("p", {}, texts.shareEnded(known.account)), addMailbox((account) => {
		tell(texts.watched(account.email));
		go("mailboxes");
	}, known)].filter(Boolean) };
}

// serverFields returns the fields for the settings of a mail server.
function serverFields({ host, port = 993, security = "tls", username } = {}) {
	return [
		field("host", texts.host, { autocomplete: "off", placeholder: "imap.example.org", inputmode: "url", value: host }),
		field("security", texts.security, { options: Object.entries(texts.securities), value: security }),
		field("port", texts.port, { type: "number", min: 1, max: 65535, value: port, inputmode: "numeric" }),
		field("username", texts.username, { autocomplete: "off", value: username }, texts.usernameHint),
	];
}

// loginOf returns the values of the fields as the API expects them.
function loginOf(values) {
	const text = (name) => values.get(name).trim();
	return { email: text("email"), host: text("host"), port: Number(text("port")), security: text("security"), username: text("username"), password: values.get("password") };
}

// folderTicks returns checkboxes for the folders of a mailbox, and the number of those that could
// not be read.
export function folderTicks({ folders, unreadable_folders: unreadable }, chosen) {
	const unwanted = ["trash", "junk", "sent", "drafts", "all"];
	const sorted = [...folders].sort((a, b) => unwanted.includes(a.use) - unwanted.includes(b.use) || (b.name === "INBOX") - (a.name === "INBOX"));
	return el("fieldset", {}, el("legend", {}, texts.foldersTitle), el("p", { class: "hint" }, texts.foldersHint),
		sorted.map(({ name }) => tick("checkbox", "folders", name, name, chosen.includes(name))),
		unreadable > 0 && el("p", { class: "hint" }, texts.foldersUnreadable(unreadable)));
}

// addMailbox asks for address and password, finds the settings, tries the login, asks for the
// folders, and calls added. known has the address and the settings; undefined: they are not known.
// If the person signs in at the provider instead, the view then comes afterwards.
export function addMailbox(added, known, then) {
	const place = el("div");
	place.append(loginForm((login, there, link) => place.replaceChildren(foldersForm(login, there, link, added)), known, then));
	return place;
}

function loginForm(worked, known, then) {
	const found = el("div", { "aria-live": "polite" });
	const server = el("details", { "data-typed": known && "yes" }, el("summary", {}, texts.settings), el("p", { class: "hint" }, texts.settingsHint), serverFields(known));
	const email = field("email", texts.email, { type: "email", autocomplete: "email", required: true, value: known?.account });
	const input = email.querySelector("input");
	const certificate = certificates();
	const password = field("password", texts.mailPassword, { type: "password", autocomplete: "off", required: true }, texts.mailPasswordHint);
	const signIn = el("div");
	let discovery = { for: known?.account ?? "", result: Promise.resolve(undefined) };
	const offer = ({ settings, provider }) => offerSignIn(settings[0], signIn, password, (oauth) => {
		const { password: _, ...mailbox } = loginOf(new FormData(f));
		return beginSignIn({ ...mailbox, oauth }, { link: provider?.link, then });
	});
	const discover = () => {
		const address = input.value.trim();
		if (discovery.for !== address && /^[^@\s]+@[^@\s]+\.[^@\s]+$/.test(address)) {
			const current = () => discovery.for === address;
			discovery = { for: address, result: search(address, found, server, current).then((result) => {
				if (current()) {
					server.dataset.typed === "yes" ? name() : offer(result);
				}
				return result;
			}) };
		}
		return discovery.result;
	};
	input.addEventListener("change", discover);
	const typed = server.querySelector("[name=host]");
	let naming; // finds out how one logs in to the server that was typed
	const name = () => {
		const [address, host] = [input.value.trim(), typed.value.trim()];
		naming = host && call("POST", "/accounts/discover", { email: address, host }).catch(() => ({ settings: [] })).then((result) => {
			if (address === input.value.trim() && host === typed.value.trim()) {
				offer(result);
				if (result.settings.length > 0) {
					found.replaceChildren(...advice(result));
				}
			}
		});
	};
	typed.addEventListener("change", name);
	if (known) {
		name();
	}
	const f = form(texts.tryLogin, certificate.asking(async (values) => {
		const result = await discover();
		await naming;
		if (password.hidden) {
			signIn.querySelector("button").click();
			return;
		}
		const login = loginOf(values);
		const candidates = server.dataset.typed === "yes" || !result?.settings.length ? [login] :
			result.settings.slice(0, 3).map(({ host, port, security, username }) => ({ email: login.email, password: login.password, host, port, security, username }));
		const { login: right, there } = await tryLogins(candidates, server, certificate);
		worked(right, there, result?.provider?.link);
	}), email, found, signIn, password, watchTyping(server, found), certificate.place);
	return f;
}

// offerSignIn shows a button that begins to sign in at the provider of a server, if it has that.
// Without another way in, it hides the field for the password, which it calls what the provider
// calls it. If this server is not registered there, the password comes first.
function offerSignIn({ auth = [], oauth, client } = {}, place, password, begin) {
	const typed = auth.find((way) => way !== "oauth");
	password.hidden = Boolean(oauth) && typed === undefined;
	password.querySelector("label").textContent = texts.mailPasswords[typed] ?? texts.mailPassword;
	place.className = oauth ? "field" : "";
	if (!oauth) {
		place.replaceChildren();
		return;
	}
	const first = client || password.hidden;
	const button = signInButton(texts.signInAt(providerName(oauth)), () => begin(oauth));
	button.querySelector("button").classList.toggle("primary", first);
	const or = !password.hidden && el("p", { class: "hint" }, first ? texts.orPassword : texts.orSignIn);
	place.replaceChildren(...(first ? [button, or] : [or, button]).filter(Boolean));
	password[first ? "before" : "after"](place);
}

// watchTyping keeps what a person types of the settings from being replaced, and drops the request
// for them once it is met.
function watchTyping(server, found) {
	const [security, port] = ["security", "port"].map((name) => server.querySelector(`[name=${name}]`));
	security.addEventListener("change", () => {
		if (["993", "143", ""].includes(port.value)) {
			port.value = security.value === "tls" ? 993 : 143;
		}
	});
	server.addEventListener("input", () => { server.dataset.typed = "yes"; });
	server.addEventListener("change", () => found.querySelector(".none-found")?.remove());
	return server;
}

// tryLogins returns the first login that works. If a server cannot be reached, it tries the next
// candidate; a server that rejects the password is the right one. If none works, the user can trust
// the first certificate that was the reason.
async function tryLogins(candidates, server, certificate) {
	let untrusted;
	for (const [i, candidate] of candidates.entries()) {
		const login = certificate.of(candidate);
		try {
			return { login, there: await certificate.call("POST", "/accounts/check", login) };
		} catch (problem) {
			const field = problem.fields?.[0]?.field;
			untrusted ??= problem.certificate && problem;
			if (i + 1 < candidates.length && (field === "host" || field === "port" || field === "security")) {
				continue;
			}
			if (untrusted) {
				throw untrusted;
			}
			server.open = server.open || ["host", "port", "security", "username"].includes(field);
			throw problem;
		}
	}
}

// search finds the settings of an address and shows them, with what to do first.
async function search(address, place, server, current) {
	place.replaceChildren(el("p", { class: "hint" }, texts.searching));
	let result;
	try {
		result = await call("POST", "/accounts/discover", { email: address });
	} catch {
		result = { settings: [], notes: [] };
	}
	if (!current()) {
		return result;
	}
	const best = result.settings[0];
	place.replaceChildren(...advice(result));
	if (best && server.dataset.typed !== "yes") {
		for (const name of ["host", "port", "security", "username"]) {
			server.querySelector(`[name=${name}]`).value = best[name];
		}
	}
	server.open = server.open || !best;
	return result;
}

// advice returns the notes about a server, and what to do there first.
function advice({ settings: [best], provider, notes }) {
	const known = notes.filter(({ code }) => code !== "none_found");
	return [
		el("p", { class: "hint" }, best ? texts.foundBy[best.source](provider?.name) : known.length > 0 ? "" : el("span", { class: "none-found" }, texts.noneFound)),
		el("ul", { class: "plain" }, known.map((note) =>
			el("li", { class: "card" }, el("p", {}, reason(note, note.text)), note.url && el("p", {}, el("a", { href: note.url, target: "_blank", rel: "noreferrer" }, new URL(note.url).host))))),
	];
}

function foldersForm(login, there, link, added) {
	return form(texts.watch, async (values) => {
		added(await call("POST", "/accounts", { ...login, folders: values.getAll("folders"), ...(link ? { link } : {}) }));
	}, folderTicks(there, ["INBOX"]));
}
