/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "client/agent.h"

#define AGENT           "/usr/bin/pkttyagent"
#define REGISTER_MAX_MS 2000

struct Agent {
        pid_t pid;
};

static void run_agent(int notify, pid_t parent) {
        char number[16];

        /* It must not outlive us, nor die of the Ctrl-C that ends us before it gave the terminal back. */
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
                _exit(EXIT_FAILURE);
        if (fcntl(notify, F_SETFD, 0) < 0)
                _exit(EXIT_FAILURE);
        (void) dup2(STDERR_FILENO, STDOUT_FILENO); /* stdout may be somebody's file */
        snprintf(number, sizeof(number), "%d", notify);
        execl(AGENT, AGENT, "--notify-fd", number, "--fallback", NULL);
        _exit(127);
}

void agent_start(Client *client) {
        _cleanup_close_ int reading = -EBADF, writing = -EBADF;
        pid_t parent = getpid(), pid;
        Agent *agent;
        int fds[2];

        if (client->agent || client->direct || geteuid() == 0 || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO) ||
            access(AGENT, X_OK) < 0)
                return;
        agent = malloc(sizeof(Agent));
        if (!agent || pipe2(fds, O_CLOEXEC) < 0) {
                free(agent);
                return;
        }
        reading = fds[0];
        writing = fds[1];
        pid = fork();
        if (pid == 0)
                run_agent(writing, parent);
        if (pid < 0) {
                free(agent);
                return;
        }

        /* The agent closes the pipe once it is registered, or has failed. */
        writing = safe_close(writing);
        (void) poll(&(struct pollfd){ .fd = reading, .events = POLLIN }, 1, REGISTER_MAX_MS);
        agent->pid = pid;
        client->agent = agent;
}

Agent *agent_free(Agent *agent) {
        if (!agent)
                return NULL;
        (void) kill(agent->pid, SIGTERM);
        (void) kill(agent->pid, SIGCONT);
        while (waitpid(agent->pid, NULL, 0) < 0 && errno == EINTR)
                ;
        free(agent);
        return NULL;
}
