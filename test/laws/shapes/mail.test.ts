/**
 * The laws of a handshake in which the server speaks first, as a mail server does.
 */
import * as Laws from "../../../src/testing/Laws.ts"
import * as Law from "../../support/laws.ts"
import { mail } from "./mail.ts"

Laws.handshake({ ...mail, it: Law.it })
