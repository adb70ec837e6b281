/**
 * The laws of a handshake in which the server speaks first, as a mail server does.
 */
import * as Laws from "../../../src/testing/Laws.ts"
import * as Law from "../../support/laws.ts"
import { mail } from "./mail.ts"

// A third of the cases that are drawn, for the sake of time: it is clean on all of them, too.
Laws.handshake({ ...mail, it: Law.it, runs: 66 })
