"""Inputs and results of steps: conversion between Python values and JSON, and its checks."""
