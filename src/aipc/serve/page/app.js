import { Server } from "./api.js";
import { Chat } from "./chat.js";
import { Conversations } from "./conversations.js";
import { byId } from "./element.js";
import { newConversation, past, titleOf } from "./history.js";
import { Machine } from "./machine.js";
import { Pulling } from "./pulling.js";
import { Settings } from "./settings.js";
import { asJson, asMarkdown, download } from "./transcript.js";
import { View } from "./view.js";

const view = new View();
const settings = new Settings(() => chat.save());
const server = new Server(askForKey);
const chat = new Chat({ view, server, settings, onChange, onAnswer: offerModels });
const conversations = new Conversations(chat);
const pulling = new Pulling(server, onPulled);
const machine = new Machine(server, ({ places, allows }) => {
  settings.offerDevices(places ?? []);
  pulling.isAllowed = allows.includes("pull");
});

/** The address names the conversation, so that a reload, or another tab, shows it again. */
function onChange() {
  const { id, messages } = chat.conversation;
  history.replaceState(null, "", messages.length ? `#${id}` : "#");
  document.title = messages.length ? `${titleOf(chat.conversation)} · aipc` : "aipc";
  byId("welcome-model").textContent = settings.aboutModel();
  byId("welcome").hidden = messages.length > 0;
  byId("export-drop").hidden = messages.length === 0;
  conversations.show();
}

async function offerModels() {
  try {
    if (!settings.isDeclared) settings.declare(await server.declared());
    settings.offerModels(await server.models());
    byId("welcome-model").textContent = settings.aboutModel();
  } catch (error) {
    view.fail(error.message, "Try again", start);
  }
}

async function onPulled(name) {
  await offerModels();
  settings.choose(name);
}

function start() {
  machine.watch();
  chat.open(past.find(location.hash.slice(1)) ?? newConversation());
  offerModels();
}

async function askForKey(wasRefused) {
  const dialog = byId("key-dialog");
  if (wasRefused) byId("key-told").textContent = "The server refused the key that it was given.";
  byId("key").value = "";
  dialog.showModal();
  await new Promise((closed) => dialog.addEventListener("close", closed, { once: true }));
  return dialog.returnValue === "use" ? byId("key").value : null;
}

function exportAs(ending, type, form) {
  byId("export-drop").open = false;
  const name = titleOf(chat.conversation).replace(/[^\p{L}\p{N}]+/gu, "-");
  download(`${name}.${ending}`, type, form(chat.conversation));
}

/** On a narrow screen, where the side lies over the rest. */
function showSide(isShown) {
  document.body.classList.toggle("menu", isShown);
  byId("menu").ariaExpanded = String(isShown);
}

/** Esc closes the nearest thing that is open: a panel, the answer being written, an edit. */
function onEscape() {
  const drop = document.querySelector(".drop[open]");
  if (drop) {
    drop.open = false;
    drop.querySelector("summary").focus();
  } else if (chat.isRunning) chat.stop();
  else chat.stopEditing();
}

document.addEventListener("click", ({ target }) => {
  for (const drop of document.querySelectorAll(".drop[open]")) drop.open = drop.contains(target);
});
document.addEventListener("keydown", ({ key }) => {
  if (key === "Escape" && !document.querySelector("dialog[open]")) onEscape();
});
byId("log").addEventListener("click", ({ target }) => {
  const name = target.dataset.action;
  if (name === "edit" && !chat.isRunning) chat.edit(view.indexOf(target));
  if (name === "regenerate") chat.answer();
});
byId("new").addEventListener("click", () => chat.open(newConversation()));
byId("menu").addEventListener("click", () => showSide(byId("menu").ariaExpanded === "false"));
byId("side").addEventListener("click", ({ target }) => {
  if (target.matches("button:not(#theme, .rename)")) showSide(false);
});
byId("model").addEventListener("change", offerModels);
byId("export-json").addEventListener("click", () =>
  exportAs("json", "application/json", asJson));
byId("export-markdown").addEventListener("click", () =>
  exportAs("md", "text/markdown", asMarkdown));

// A model can take minutes to load: what it is at is asked after, or it would look hung.
setInterval(() => chat.isWaiting && offerModels(), 1000);
start();
