/**
 * The laws of a healthy protocol of its own shape: an upgrade of HTTP/1.1.
 */
import * as Laws from "../../../src/testing/Laws.ts"
import * as Law from "../../support/laws.ts"
import { options } from "./upgrade.ts"

Laws.handshake({ ...options, it: Law.it })
