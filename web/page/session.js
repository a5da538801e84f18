// session is who is logged in: {id, name, admin}; undefined: nobody.
export const session = { user: undefined };

// go opens a view.
export function go(path) {
	location.hash = `#/${path}`;
}
