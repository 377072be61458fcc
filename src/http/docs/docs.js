// Draws the server's own description of its API. Everything is set as text: nothing in the
// description can become markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    element.setAttribute(name, value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined) element.append(child);
  }
  return element;
}

// `code` in a text.
function prose(text) {
  return text.split("`").map((part, place) => (place % 2 ? make("code", {}, part) : part));
}

function lookUp(root, node) {
  while (node && node.$ref) {
    node = node.$ref.slice(2).split("/").reduce((at, name) => at[name], root);
  }
  return node;
}

// What a schema takes, on one line, with links to named schemas.
function type(schema) {
  if (!schema) return [];
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return [make("a", { href: "#schema-" + name }, name)];
  }
  for (const [word, join] of [["oneOf", " or "], ["anyOf", " or "], ["allOf", " with "]]) {
    if (schema[word]) {
      return schema[word].flatMap((part, place) => (place ? [join, ...type(part)] : type(part)));
    }
  }
  if ("const" in schema) return [make("code", {}, JSON.stringify(schema.const))];
  if (schema.enum) {
    return schema.enum.flatMap((word, place) => [place ? " | " : "", make("code", {}, String(word))]);
  }
  const named = [].concat(schema.type || "any").join(" or ");
  if (schema.type === "array") return ["list of ", ...type(schema.items)];
  return [named];
}

function limits(schema) {
  const said = [];
  const say = (name, text) => {
    if (schema && schema[name] !== undefined) said.push(text + schema[name]);
  };
  say("minimum", "at least ");
  say("maximum", "at most ");
  say("minLength", "at least this long: ");
  say("maxLength", "at most this long: ");
  say("maxProperties", "entries at most ");
  if (schema && schema.default !== undefined) said.push("default " + JSON.stringify(schema.default));
  return said.join(", ");
}

function row(name, schema, description, required) {
  const more = limits(schema);
  return make(
    "tr",
    {},
    make("td", {}, make("code", {}, name), required ? " required" : ""),
    make(
      "td",
      {},
      make("p", {}, type(schema), more ? make("span", { class: "quiet" }, " (" + more + ")") : null),
      description ? make("p", { class: "quiet" }, prose(description)) : null,
    ),
  );
}

function members(schema) {
  const required = schema.required || [];
  const rows = Object.entries(schema.properties || {}).map(([name, member]) =>
    row(name, member, member.description, required.includes(name)),
  );
  return rows.length ? make("table", {}, rows) : null;
}

function examples(root, content) {
  return Object.values(content.examples || {}).map((reference) => {
    const value = lookUp(root, reference).value;
    const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
    return make("details", {}, make("summary", {}, "Example"), make("pre", {}, make("code", {}, text)));
  });
}

function contents(root, content) {
  return Object.entries(content || {}).map(([mime, body]) =>
    make("div", {}, make("p", {}, make("span", { class: "quiet" }, mime + " "), type(body.schema)), examples(root, body)),
  );
}

function drawOperation(root, path, method, item, operation) {
  const parameters = [...(item.parameters || []), ...(operation.parameters || [])].map((p) => lookUp(root, p));
  const responses = Object.entries(operation.responses).map(([status, reference]) => {
    const response = lookUp(root, reference);
    return make(
      "tr",
      {},
      make("td", {}, make("code", {}, status)),
      make("td", {}, make("p", {}, prose(response.description)), contents(root, response.content)),
    );
  });
  return make(
    "section",
    { class: "operation", id: operation.operationId },
    make(
      "div",
      { class: "line" },
      make("span", { class: "method " + method }, method.toUpperCase()),
      make("span", { class: "path" }, path),
    ),
    make("h3", {}, operation.summary),
    operation.description ? make("p", {}, prose(operation.description)) : null,
    parameters.length
      ? [
          make("h4", {}, "Parameters"),
          make("table", {}, parameters.map((p) => row(p.name + " (" + p.in + ")", p.schema, p.description, p.required))),
        ]
      : null,
    operation.requestBody ? [make("h4", {}, "Body"), contents(root, operation.requestBody.content)] : null,
    make("h4", {}, "Answers"),
    make("table", {}, responses),
  );
}

function drawCodes(codes) {
  return Object.entries(codes).map(([word, code]) =>
    make(
      "section",
      { class: "code", id: word },
      make("div", { class: "line" }, make("code", {}, word), make("span", { class: "quiet" }, String(code.status)),
        make("span", { class: "quiet" }, code.retryable ? "a retry may succeed" : "")),
      make("p", {}, code.title),
      make("p", { class: "quiet" }, prose(code.hint)),
    ),
  );
}

function drawSchemas(root) {
  return Object.entries(root.components.schemas).map(([name, schema]) =>
    make(
      "section",
      { class: "schema", id: "schema-" + name },
      make("h3", {}, name),
      schema.description ? make("p", { class: "quiet" }, prose(schema.description)) : null,
      members(schema) || make("p", {}, type(schema), schema.pattern ? make("code", {}, schema.pattern) : null),
    ),
  );
}

function draw(root) {
  document.title = root.info.title + " API " + root.info.version;
  document.getElementById("version").textContent = root.info.version;
  document.getElementById("summary").textContent = root.info.summary;
  const main = document.getElementById("main");
  const nav = document.getElementById("contents");
  main.replaceChildren(make("p", {}, prose(root.info.description)));

  for (const tag of root.tags) {
    const list = make("ul");
    main.append(make("h2", {}, tag.name), make("p", { class: "quiet" }, tag.description));
    for (const [path, item] of Object.entries(root.paths)) {
      for (const method of METHODS.filter((name) => item[name] && item[name].tags.includes(tag.name))) {
        main.append(drawOperation(root, path, method, item, item[method]));
        list.append(make("li", {}, make("a", { href: "#" + item[method].operationId }, item[method].summary)));
      }
    }
    nav.append(make("h2", {}, tag.name), list);
  }
  main.append(make("h2", { id: "codes" }, "Codes of refusals"), ...drawCodes(root["x-problem-codes"]));
  main.append(make("h2", { id: "schemas" }, "Schemas"), ...drawSchemas(root));
  nav.append(
    make("h2", {}, "Reference"),
    make("ul", {}, make("li", {}, make("a", { href: "#codes" }, "Codes of refusals")),
      make("li", {}, make("a", { href: "#schemas" }, "Schemas"))),
  );
  // The place named in the address did not exist yet when the page was loaded.
  const wanted = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (wanted) wanted.scrollIntoView();
}

fetch("/api/openapi.json")
  .then((response) => response.json())
  .then(draw)
  .catch((error) => {
    document.getElementById("main").replaceChildren(make("p", {}, "The description could not be loaded: " + error));
  });
