/** Starts the console: settings first, so that the first paint has its theme. */
import { render } from "preact";
import "./style/tokens.css";
import "./style/base.css";
import "./style/shell.css";
import "./style/trade.css";
import "./style/pages.css";
import { App } from "./app";
import * as keys from "./keys";
import * as account from "./live/account";
import * as link from "./live/link";
import { loadInstruments } from "./live/market";
import * as router from "./router";
import * as session from "./session";
import * as settings from "./settings";
import * as update from "./update";

settings.start();
router.start();
keys.start();
session.start();
link.start();
account.start();
void loadInstruments();
void update.start();

const root = document.getElementById("root");
if (root) render(<App />, root);
