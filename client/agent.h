/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * polkit's agent for terminals: it asks for the password where a call needs one. Started for callers other than
 * root who sit at a terminal, if pkttyagent(1) is installed; it goes with the agent.
 */

#include "client/client.h"

/* Starts it where it makes sense and waits until it is registered. Failure is no error: polkit refuses then. */
void agent_start(Client *client);
Agent *agent_free(Agent *agent);
